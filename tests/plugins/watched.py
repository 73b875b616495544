"""The fixture `watched`: a version of `news` that serves, its reference, its log, and who hears."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NUMBERS = count(1)
UNTIL = datetime(2026, 11, 21, 18, tzinfo=UTC)
FOLDER = "evaluations/news/one"
DRIFT = """
[drift]
window_hours = 2
minimum_rows = 60
max_rows = 1000
on_drift = "retrain"
"""


class Watched:
    """Answers to log, and what a check of them left behind."""

    def __init__(self, environment: str, buckets: tuple[str, str], mlflow: str) -> None:
        self.data, self.models = buckets
        self.mlflow = mlflow
        self.environment = environment
        self.digest = "d" * 64
        self.pages: list[str] = []
        self.events: list[dict[str, Any]] = []

    @property
    def s3(self) -> Any:
        from tasks.adapters import aws

        return aws.client("s3")

    def serve(self, version: str = "7", target: str = "ec2") -> None:
        """The journal says that the version is live, its verdict where its evaluation is."""
        from plugins import references

        from tasks.adapters import journal, verdicts
        from tasks.policy import releases
        from tasks.records import Outcome, Served, Verdict
        from training import encoder

        served = Served(version, "s3://models/model.tar.gz", self.digest, target)
        claim = releases.claimed(None, "news", self.environment, served, "a test")
        key = f"releases/{self.environment}/news/journal.json"
        journal.write(self.s3, self.models, key, releases.committed(claim))
        uri = f"s3://{self.models}/{FOLDER}/evaluation.json"
        verdict = Verdict(Outcome.PASS, (), {}, "news", version, self.digest, None, "0" * 64, uri)
        verdicts.write(self.s3, self.models, verdict)
        files = {
            "reference.parquet": references.reference(400, self.digest).to_bytes(),
            encoder.FILE: encoder.pack(references.table()),
            encoder.TOKENIZER: references.tokenizer().encode(),
        }
        for name, content in files.items():
            self.s3.put_object(Bucket=self.models, Key=f"{FOLDER}/{name}", Body=content)

    def log(self, rows: int, drifted: bool = False, ago: timedelta = timedelta(hours=1)) -> str:
        """Answered texts in a segment; drifted ones are long, of other words and one class."""
        import pyarrow as pa
        import pyarrow.parquet as pq
        from plugins import references

        from training import capture

        seed = next(NUMBERS)
        told: dict[str, Any] = references.answers(rows, seed)
        if drifted:
            told["text"] = self._drifted(rows, seed)
            told["label"] = ["Business"] * rows
        at = UNTIL - ago
        told |= {
            "request_id": [f"{seed}-{number}" for number in range(rows)],
            "timestamp": [int(at.timestamp() * 1000) + number for number in range(rows)],
            "classifier": ["news"] * rows,
            "model_version": ["7"] * rows,
            "bundle_digest": [self.digest] * rows,
            "variant": [""] * rows,
            "characters": [len(text) for text in told["text"]],
            "latency_ms": [1.0] * rows,
        }
        schema = capture.schema("prediction")
        packed = BytesIO()
        pq.write_table(pa.table({name: told[name] for name in schema.names}, schema), packed)
        hour = capture.hour(told["timestamp"][0])
        key = f"{capture.prefix('prediction', 'news')}/{hour}/host-{seed}.parquet"
        self.s3.put_object(Bucket=self.data, Key=key, Body=packed.getvalue())
        return key

    def capture(self, folder: str, rows: int) -> None:
        """Drifted texts as SageMaker's DataCapture leaves them."""
        lines = []
        for number, text in enumerate(self._drifted(rows, next(NUMBERS))):
            answer = {"prediction": "Business", "confidence": 0.9, "model_version": "7"}
            part = {"observedContentType": "application/json", "encoding": "JSON"}
            captured = {
                "endpointInput": {**part, "data": json.dumps({"text": text})},
                "endpointOutput": {**part, "data": json.dumps(answer)},
            }
            at = (UNTIL - timedelta(minutes=30)).isoformat()
            about = {"eventId": f"event {number}", "inferenceTime": at}
            lines.append(json.dumps({"captureData": captured, "eventMetadata": about}))
        key = f"{folder}/v7/2026/11/21/17/30-00-000-ab.jsonl"
        self.s3.put_object(Bucket=self.data, Key=key, Body="\n".join(lines).encode())

    def _drifted(self, rows: int, seed: int) -> list[str]:
        random = np.random.default_rng(seed)
        words = ("quarterly", "dividend", "yield", "broker", "mail ann@example.com")
        return [" ".join(random.choice(words, 30)) for _ in range(rows)]

    def kept(self, prefix: str, bucket: str = "") -> list[str]:
        """Names of the objects below the prefix."""
        found = self.s3.list_objects_v2(Bucket=bucket or self.models, Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    def verdict(self) -> dict[str, Any]:
        (key,) = [key for key in self.kept("drift/news/") if key.endswith("verdict.json")]
        return json.loads(self.s3.get_object(Bucket=self.models, Key=key)["Body"].read())

    def requests(self) -> list[str]:
        return [key for key in self.kept("retrain/news/") if "/governor/" not in key]

    def told(self) -> list[tuple[str, str]]:
        """What the topic's subscriber heard since the last time."""
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        bodies = []
        for one in found.get("Messages", []):
            bodies.append(json.loads(one["Body"]))
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return [(body["Subject"], body["Message"]) for body in bodies]

    def listen(self) -> str:
        """A topic with a subscriber; its ARN."""
        from tasks.adapters import aws

        self.sqs = aws.client("sqs")
        name = f"told-{self.environment}"
        topic: str = aws.client("sns").create_topic(Name=name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        asked = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        arn = asked["Attributes"]["QueueArn"]
        aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        return topic


@pytest.fixture
def watched(
    settings_env: None, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    """Nothing serves and nothing is logged yet, in buckets of its own."""
    from tasks import drift_evidence, drift_response

    name = f"w{next(NUMBERS)}"
    buckets = (f"data-{name}", f"models-{name}")
    made = Watched(name, buckets, mlflow_server)
    for bucket in buckets:
        made.s3.create_bucket(Bucket=bucket)
    text = Path(os.environ["PERENNIAL_CLASSIFIERS_DIR"], "news.toml").read_text("utf-8")
    (tmp_path / "news.toml").write_text(text + DRIFT, "utf-8")
    for key, value in {
        "PERENNIAL_ENVIRONMENT": name,
        "PERENNIAL_DATA_BUCKET": made.data,
        "PERENNIAL_MODELS_BUCKET": made.models,
        "PERENNIAL_ALERT_TOPIC_ARN": made.listen(),
        "PERENNIAL_CLASSIFIERS_DIR": str(tmp_path),
        "MLFLOW_TRACKING_URI": mlflow_server,
    }.items():
        monkeypatch.setenv(key, value)

    def page(markdown: str, **_: Any) -> None:
        made.pages.append(markdown)

    # Both take long and have tests of their own: test_reports.py and pictures/test_drift.py.
    made_report = {"report.html": b"<html>", "report.json": b"{}"}
    monkeypatch.setattr(drift_evidence, "make_report", lambda *_: made_report)
    monkeypatch.setattr(drift_evidence.drawn, "trend", lambda *_: b"a picture")
    monkeypatch.setattr(drift_evidence, "create_markdown_artifact", page)
    monkeypatch.setattr(drift_response, "emit_event", lambda **told: made.events.append(told))
    return made
