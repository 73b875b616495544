"""The whole loop, watched: a release, a language that moves, a release that nobody asked for."""

import asyncio
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun
from pydantic import Field
from pydantic_settings import BaseSettings

from deployments import apply, callers, drifting, predict, small_files, watch
from deployments.account import Account
from tasks.adapters import aws, verdicts
from tasks.errors import NotFound
from tasks.policy import samples
from tasks.records import Release, Verdict
from tasks.records import endpoint as endpoint_name

TEXTS = {
    "news": (
        "Stocks rallied after the central bank kept interest rates unchanged",
        "The striker scored twice as the home team won the cup final",
        "Scientists released new software that speeds up the discovery of proteins",
    ),
    "genre": (
        "A lone gunslinger rides into a frontier town to face the outlaw who killed his brother.",
        "This film follows three farmers over one year and interviews the people they feed.",
        "A family moves into an old house where something in the cellar whispers at night.",
    ),
    "sentiment": (
        "a warm , funny and moving film from the first minute to the last",
        "a dull script and wooden actors make this two hours of boredom",
        "i would watch it again tomorrow",
    ),
}
TEXTS_OF_OTHERS = ("This is the first text.", "And here comes the second one.", "A third.")
LIMIT_S = 3600
# Without it MLflow shows the half of its pages that is about chat agents.
MODELS_PAGE = "#/models?workflowType=machine_learning"


# A laptop that runs all servers at once is no server.
ROLLOUT = {
    "strategy": "canary",
    "steps": [{"percent": 10, "minutes": 1}],
    "bake_minutes": 0.5,
    "max_p99_ms": 2000,
    "min_requests": 50,
}


class Demo(BaseSettings):
    """What the Makefile passes on."""

    state: Path = Path(".perennial")
    classifier: str = "news"
    data: str = ""
    target: str = "ec2"
    sample_size: int = Field(4000, ge=20, description="most training rows of the source")
    epochs: int = 1
    max_length: int = 64
    learning_rate: float = 1e-4

    @property
    def source(self) -> str:
        if not self.data:
            return f"sample://{self.classifier}?rows=2000&seed=7"
        return self.data if "://" in self.data else str(Path(self.data).resolve())

    @property
    def drifts(self) -> bool:
        """Whether callers with another language can be had, and an endpoint that takes labels."""
        return self.classifier in samples.NAMES and self.target == "ec2"

    def changes(self) -> dict[str, Any]:
        """A small run that needs no hub: the offline base model on real or generated rows."""
        hyperparameters = {
            "model-name": "offline",
            "num-train-epochs": self.epochs,
            "max-length": self.max_length,
            "per-device-train-batch-size": 16,
            "learning-rate": self.learning_rate,
        }
        return {
            "data": {"source": self.source, "sample_size": self.sample_size},
            "training": {"hyperparameters": hyperparameters},
            "serving": {"target": self.target},
            "rollout": ROLLOUT,
            "capture": {"seconds": 1},  # nobody wants to wait until the answers are in S3
        }


def main() -> int:
    """0 when the model is served and answers, and what moved language asked for was done."""
    demo = Demo()
    started = time.monotonic()
    account, changed = prepare(demo)
    chain: list[drifting.Link] = []
    if changed or not has_successor(account, demo.classifier):
        run = release(demo)
        if run is None:
            return 1
        chain.append(drifting.Link(f"pipeline/{demo.classifier}", "released", watch.page(run)))
    endpoint = ask(demo)
    # A successor has learned the moved language: there is nothing to see a second time.
    if chain and demo.drifts and not has_successor(account, demo.classifier):
        key = callers.of(account).own()
        if not drifting.play(demo.classifier, endpoint, key, chain):
            return 1
    tell(*outcome(account, demo.classifier), endpoint, time.monotonic() - started)
    drifting.tell(chain)
    print(f"\nMLflow        {account.mlflow_tracking_uri}/{MODELS_PAGE}")
    if demo.target == "ec2":
        print(f"API           {endpoint}/docs")
    print(
        f"\nask it: make predict CLASSIFIER={demo.classifier} TEXT='...'   stop it all: make down"
    )
    return 0


def prepare(demo: Demo) -> tuple[Account, bool]:
    """Deploy the classifier files as this machine wants them; whether the demo's is another now."""
    account = Account(classifiers_dir=(demo.state / "classifiers").resolve())
    folder = account.classifiers_dir
    changed = small_files.write(Path("classifiers"), folder, demo.classifier, demo.changes())
    if code := apply.apply(account):
        sys.exit(code)
    return account, changed


def has_successor(account: Account, classifier: str) -> bool:
    """Whether the demo came to its end before: it repeats nothing then."""
    try:
        return predict.live(account, classifier)[0].previous is not None
    except NotFound:
        return False


def release(demo: Demo) -> FlowRun | None:
    """Run the pipeline and print its log; None, once it is told why, when it did not complete."""
    name = f"pipeline/{demo.classifier}"
    print(f"\n$ prefect deployment run '{name}'   (source {demo.source})\n", flush=True)
    run = asyncio.run(watch.run_and_print(name, {}, LIMIT_S))
    if run.state is not None and run.state.is_completed():
        return run
    why = run.state.message if run.state else "it never started"
    print(f"\nthe pipeline did not complete: {why}\n  its page: {watch.page(run)}", file=sys.stderr)
    print("  the servers: make status; their logs: .perennial/logs/", file=sys.stderr)
    return None


def ask(demo: Demo) -> str:
    """Send three texts the way a caller would and show the answers; where they were sent."""
    texts = TEXTS.get(demo.classifier, TEXTS_OF_OTHERS)
    print()
    if demo.target != "ec2":
        for text in texts:
            print(f"InvokeEndpoint {json.dumps(text)}\n{predict.ask(demo.classifier, text)}")
        named = endpoint_name(f"{Account().stack}-{demo.classifier}", demo.target)
        return f"SageMaker endpoint {named}"
    endpoint = predict.url(demo.classifier)
    account = Account()
    key = callers.of(account).own()
    print(
        f"$ KEY=$(aws secretsmanager get-secret-value --secret-id {account.stack}/operator-key"
        " --query SecretString --output text)"
    )
    for text in texts:
        command = ["curl", "-sS", "--fail-with-body", "--max-time", "30", f"{endpoint}/predict"]
        command += ["-H", "Content-Type: application/json", "-d", json.dumps({"text": text})]
        print(f'$ {shlex.join(command)} -H "X-API-Key: $KEY"', flush=True)
        # By standard input: a command line is anybody's to read.
        subprocess.run([*command, "-H", "@-"], input=f"X-API-Key: {key}", text=True, check=True)
        print()
    return endpoint


def outcome(account: Account, classifier: str) -> tuple[Release, Verdict]:
    """What the journal and the verdict say now."""
    release, champion = predict.live(account, classifier)
    bucket = account.outputs()["ModelsBucket"]
    verdict = verdicts.read(aws.client("s3"), bucket, classifier, champion.bundle_digest)
    assert verdict is not None
    return release, verdict


def tell(release: Release, verdict: Verdict, endpoint: str, seconds: float) -> None:
    """A short table of what happened."""
    assert release.champion is not None
    previous = release.previous.version if release.previous else "none"
    rows = {
        "snapshot": verdict.snapshot_sha256[:12],
        "version": f"{verdict.version} (previous: {previous})",
        "bundle": verdict.bundle_digest[:12],
        **{name: f"{value:.4g}" for name, value in verdict.numbers.items()},
        "verdict": f"{verdict.outcome}: {verdict.reasons[0]}",
        "endpoint": endpoint,
        "release": f"{release.state}, generation {release.generation}",
        "took": f"{seconds:.0f} s",
    }
    print()
    for name, value in rows.items():
        print(f"{name:<22} {value}")


if __name__ == "__main__":
    sys.exit(main())
