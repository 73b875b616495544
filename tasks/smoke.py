"""The smoke test: one side asked alone, by both contracts, before it may get callers."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from tasks.adapters import aws, registry
from tasks.errors import GateFailed
from tasks.policy import smoke
from tasks.policy.answers import Asked
from tasks.policy.smoke import Burst, Seen, SmokeReport
from tasks.records import Outcome, Place, Served
from tasks.retries import live
from tasks.targets import TARGETS, Session

GoldenTexts = tuple[tuple[str, str], ...]

_GOLDEN = 20  # more tell little more about a version that its gate has measured
_BOTH_WAYS = 5  # of them by the second contract too
_BURST = 40
CALLERS = 8


@live
def smoke_test(
    place: Place,
    wanted: Served,
    op_id: str,
    golden: GoldenTexts,
    labels: tuple[str, ...],
    run_id: str = "",
    mlflow_uri: str = "",
    max_p50_ms: float = smoke.MAX_P50_MS,
) -> str:
    """Ask the staged version alone; GateFailed unless every answer is right.

    The numbers go to the version's MLflow run, a failed test's too.
    """
    with TARGETS[place.target].session(aws.client, place, wanted, op_id, "new") as session:
        seen = try_out(session, golden, place.max_chars, CALLERS)
    report = smoke.judge(seen, labels, wanted.version, wanted.bundle_digest, max_p50_ms)
    if run_id:
        log_report(mlflow_uri, run_id, report)
    if report.outcome is not Outcome.PASS:
        raise GateFailed(f"smoke test of version {wanted.version}", report.reasons)
    return str(report)


def try_out(session: Session, golden: GoldenTexts, max_chars: int, callers: int) -> Seen:
    """The first golden texts alone, then a burst of so many callers, and what both took."""
    ways = (("text", golden[:_GOLDEN]), ("data", golden[:_BOTH_WAYS]))
    lone = tuple(
        Asked(contract, label, session.ask({contract: text}))
        for contract, rows in ways
        for text, label in rows
    )
    session.usage()  # the endpoint tells CPU since it was last asked
    burst = _burst(session, golden, max_chars, callers)
    return Seen(lone, burst, session.usage())


def log_report(mlflow_uri: str, run_id: str, report: SmokeReport) -> bool:
    """Put the numbers on the run; a registry that is away is a warning."""
    numbers = {f"smoke/{name}": value for name, value in report.numbers.items()}
    return registry.offer_metrics(registry.client(mlflow_uri), run_id, numbers)


def _burst(session: Session, golden: GoldenTexts, max_chars: int, callers: int) -> Burst:
    # An endpoint remembers its answers, so no text is one that it had before.
    once = uuid.uuid4().hex[:8]
    texts = [
        f"{once} {number} {golden[number % len(golden)][0]}"[:max_chars]
        for number in range(_BURST if golden else 0)
    ]
    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        answers = tuple(pool.map(lambda text: session.ask({"text": text}), texts))
    return Burst(callers, time.perf_counter() - began, answers)
