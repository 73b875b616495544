"""The second half of the demo: the language moves, Perennial sees it and retrains by itself."""

import asyncio
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from prefect.client.schemas.objects import FlowRun

from deployments import moving, watch
from deployments.crowd import Crowd
from tasks.drift_records import DriftOutcome
from tasks.policy.drift_page import conclusion

_TEXTS = 800
_BEFORE, _MEANWHILE, _AFTER = 11, 12, 13  # seeds: nobody is asked what it was trained on
_WAITING = "mlops_capture_spool_bytes"
_SHIPPED_S = 120
_CHECK_S, _STARTED_S, _RETRAIN_S = 600, 120, 1800


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain from an event to what came of it."""

    what: str
    result: str
    page: str = ""


def play(classifier: str, endpoint: str, key: str, chain: list[Link]) -> bool:
    """Whether a check saw the drift, and its retrain was released where it asked for one."""
    print(f"\nthe language moves: {_TEXTS} texts of another kind, and their callers' labels ...")
    sent = moving.send(endpoint, key, classifier, _TEXTS, _BEFORE)
    chain.append(Link("callers", sent.told))
    shipped(endpoint, key)
    began = datetime.now(UTC)
    name = f"drift-check/{classifier}"
    print(f"\n$ prefect deployment run '{name}'\n", flush=True)
    check = asyncio.run(watch.run_and_print(name, {}, _CHECK_S))
    chain.append(Link(name, said(check), watch.page(check)))
    if does_no_harm(check):
        print(f"\nthe model does well on these texts, too, so it stays as it is: {said(check)}")
        return True
    retrain = asyncio.run(watch.started("pipeline/on-drift", began, _STARTED_S))
    if retrain is None:
        print(f"\nno retrain was started within {_STARTED_S} s: {said(check)}", file=sys.stderr)
        return False
    print("\nthe event started pipeline/on-drift; nobody else did\n", flush=True)
    came = f"the event started it {waited(check, retrain):.0f} s after the check"
    with ExitStack() as asking:
        # A rollout in steps needs callers; before it they would only slow the training down.
        crowd = Crowd(endpoint, key, moving.texts(classifier, _MEANWHILE))
        retrain = asyncio.run(
            watch.print_on(
                retrain, _RETRAIN_S, f"deploy {classifier}", lambda: asking.enter_context(crowd)
            )
        )
    result = f"{came}; {said(retrain)}"
    chain.append(Link("pipeline/on-drift", result, watch.page(retrain)))
    if retrain.state is None or not retrain.state.is_completed():
        print(f"\nthe retrain did not complete: {said(retrain)}", file=sys.stderr)
        return False
    after = moving.send(endpoint, key, classifier, _TEXTS // 4, _AFTER)
    chain.append(Link("callers", after.told))
    return True


def does_no_harm(check: FlowRun) -> bool:
    """Whether the check saw that the language moved, and that the model lost nothing by it."""
    state = check.state
    if state is None or state.name != DriftOutcome.DETECTED:
        return False
    return (state.message or "").endswith(conclusion("no", "ignore"))


def waited(check: FlowRun, retrain: FlowRun) -> float:
    """Seconds from the end of one run to the start of the other."""
    assert check.end_time
    assert retrain.start_time
    return (retrain.start_time - check.end_time).total_seconds()


def shipped(endpoint: str, key: str) -> None:
    """Return when the endpoint has put all that was logged into S3."""
    deadline = time.monotonic() + _SHIPPED_S
    while time.monotonic() < deadline:
        told = httpx.get(f"{endpoint}/metrics", headers={"X-API-Key": key}, timeout=30).text
        if all(line.endswith(" 0.0") for line in told.splitlines() if line.startswith(_WAITING)):
            return
        time.sleep(1)


def said(run: FlowRun) -> str:
    """State and message of a run, in one line."""
    state = run.state
    return f"{state.name}: {state.message or ''}".strip(": ") if state else "it never started"


def tell(chain: list[Link]) -> None:
    """The chain as a table, each link with its page."""
    print()
    for link in chain:
        print(f"{link.what:<22} {link.result}")
        if link.page:
            print(f"{'':<22} {link.page}")
