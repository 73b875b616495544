"""The fixture `shelf`: registered, judged versions of `news` in an environment of their own."""

import gzip
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

NUMBERS = count(1)
SNAPSHOT = "0" * 64
MODEL = "bert-news-classifier"
TEXTS = ("stock market profit", "team cup match", "peace war president", "software phone", "bank")


@dataclass
class Shelf:
    """Versions to release, and what came of it."""

    environment: str
    bucket: str
    mlflow: str
    make_tar: Callable[..., Path]

    def version(
        self,
        seed: int = 0,
        outcome: str = "PASS",
        archive: bytes | None = None,
        engine: str = "torch",
        spread: float = 0.5,
    ) -> str:
        """Upload, register and judge a version; another seed is another model.

        The same seed with nearly the same spread is another bundle of nearly the same answers.

        One that is really served is better openvino-int8: its servers start without torch.
        """
        from tasks.adapters import aws, registry, verdicts
        from tasks.records import ModelVersion, Outcome, Verdict

        job = f"{self.environment}-job-{seed}-{spread}"
        tar = self.make_tar(seed=seed, engine=engine, spread=spread)
        digest = self.digest(tar)
        key = f"training/{job}/output/model.tar.gz"
        s3 = aws.client("s3")
        s3.put_object(Bucket=self.bucket, Key=key, Body=archive or tar.read_bytes())
        client = registry.client(self.mlflow)
        run = client.create_run("0").info.run_id
        made = registry.register(
            client,
            ModelVersion(
                "news", MODEL, "", run, f"s3://{self.bucket}/{key}", digest, SNAPSHOT, job
            ),
            {},
        )
        reasons = () if outcome == "PASS" else ("accuracy 0.61 is under 0.85",)
        verdict = Verdict(
            Outcome(outcome), reasons, {}, "news", made.version, digest, None, SNAPSHOT, "s3://e"
        )
        verdicts.write(s3, self.bucket, verdict)
        return made.version

    def release(self, version: str, target: str) -> Any:
        """Make the version champion in journal and registry, as a finished deploy leaves it."""
        from tasks.adapters import aws, journal, registry
        from tasks.policy import releases
        from tasks.records import Served

        client = registry.client(self.mlflow)
        model = registry.get_version(client, MODEL, version)
        served = Served(version, model.bundle_uri, model.bundle_digest, target)
        claim = releases.claimed(None, "news", self.environment, served, "a test")
        key = f"{self._folder}/journal.json"
        journal.write(aws.client("s3"), self.bucket, key, releases.committed(claim))
        registry.set_alias(client, MODEL, "champion", version)
        return served

    @staticmethod
    def digest(tar: Path) -> str:
        import tarfile

        from training.formats import BundleManifest

        with tarfile.open(tar) as opened:
            content = opened.extractfile("manifest.json")
            assert content
            return BundleManifest.model_validate_json(content.read()).digest

    def journal(self) -> Any:
        from tasks.adapters import aws, journal

        return journal.read(aws.client("s3"), self.bucket, f"{self._folder}/journal.json")

    def ledger(self) -> list[Any]:
        from tasks.adapters import aws, ledger

        chain = ledger.read(aws.client("s3"), self.bucket, f"{self._folder}/ledger")
        assert ledger.verify(chain) is None
        return [record.entry for record in chain]

    def actions(self) -> list[tuple[str, str]]:
        return [(entry.action, entry.version) for entry in self.ledger()]

    def alias(self, alias: str) -> str | None:
        from tasks.adapters import registry

        found = registry.get_by_alias(registry.client(self.mlflow), MODEL, alias)  # type: ignore[arg-type]
        return found and found.version

    @property
    def _folder(self) -> str:
        return f"releases/{self.environment}/news"


def unwatched(folder: Path) -> Path:
    """A folder with the classifier `news`, whose releases are not watched for minutes."""
    text = Path(os.environ["PERENNIAL_CLASSIFIERS_DIR"], "news.toml").read_text("utf-8")
    (folder / "news.toml").write_text(f"{text}\n[rollout]\nstrategy = 'all-at-once'\n", "utf-8")
    return folder


@pytest.fixture
def shelf(
    prefect_server: None,
    settings_env: None,
    mlflow_server: str,
    tiny_model_tar: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shelf:
    """An environment that no other test uses, with a frozen test split."""
    from deployments.callers import Callers
    from tasks.adapters import aws

    environment = f"r{next(NUMBERS)}"
    monkeypatch.setenv("PERENNIAL_ENVIRONMENT", environment)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("PERENNIAL_CLASSIFIERS_DIR", str(unwatched(tmp_path)))
    profile = f"profile-{environment}"
    aws.client("iam").create_instance_profile(InstanceProfileName=profile)
    monkeypatch.setenv("PERENNIAL_INSTANCE_PROFILE", profile)
    Callers(aws.client("secretsmanager"), f"perennial-{environment}", {}).ensure()
    topic = aws.client("sns").create_topic(Name=f"alerts-{environment}")["TopicArn"]
    monkeypatch.setenv("PERENNIAL_ALERT_TOPIC_ARN", topic)
    rows = "".join(json.dumps({"text": text, "label": "World"}) + "\n" for text in TEXTS)
    aws.client("s3").put_object(
        Bucket=os.environ["PERENNIAL_DATA_BUCKET"],
        Key=f"datasets/news/{SNAPSHOT}/test.jsonl.gz",
        Body=gzip.compress(rows.encode()),
    )
    return Shelf(environment, os.environ["PERENNIAL_MODELS_BUCKET"], mlflow_server, tiny_model_tar)


class Callers:
    """A client that keeps asking from a thread of its own while something else happens."""

    def __init__(self, ask: Callable[[], Any], pause_s: float = 0.2) -> None:
        self.ask, self.pause_s = ask, pause_s
        self.answers: list[Any] = []
        self.failures: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stopping.wait(self.pause_s):
            try:
                self.answers.append(self.ask())
            except Exception as error:  # whatever a caller would see
                self.failures.append(f"{type(error).__name__}: {error}")

    def __enter__(self) -> "Callers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.fixture
def back_and_timed(
    callers: type[Callers], record_property: Callable[[str, object], None]
) -> Callable[..., Callers]:
    """Roll `news` back while a client asks; notes the seconds until the last wrong answer."""
    from flows.rollback import rollback

    def measure(ask: Callable[[], str], go_back: Callable[[str], object] = rollback) -> Callers:
        last: dict[str, float] = {}

        def timed() -> str:
            version = ask()
            last[version] = time.monotonic()
            return version

        bad, began = ask(), time.monotonic()
        with callers(timed) as heard:
            go_back("news")
        record_property("seconds to roll back", round(last[bad] - began, 1))
        return heard

    return measure


@pytest.fixture
def callers() -> type[Callers]:
    """`with callers(ask) as heard:` asks all the time; heard.answers, heard.failures."""
    return Callers
