"""Releases on a serverless endpoint that really serves: tried on what callers asked before."""

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations

import pytest
from plugins.bundles import WORDS

from flows.deploy import RolloutPlan, deploy
from flows.rollback import rollback
from tasks.adapters import aws, predictions, waits
from tasks.drift_records import Checked
from tasks.errors import GateFailed
from tasks.settings import Settings
from tasks.strategy import Rollout

pytestmark = pytest.mark.usefixtures("engineless")

CLIENT = cache(aws.client)
PLAN = RolloutPlan(target="serverless", rollout=Rollout(min_requests=20))
ASKED = [f"{one} {other}" for one, other in combinations(WORDS, 2)][::20]


@pytest.fixture(scope="module")
def prefect_server():
    """Nobody asks it where flows run without the engine."""


@pytest.fixture
def shelf(shelf, tmp_path, monkeypatch):
    """Its answers are in the log at once, and nobody else's: other tests serve the same bundles."""
    bucket, s3 = Settings().data_bucket, CLIENT("s3")
    for old in s3.list_objects_v2(Bucket=bucket, Prefix="data-capture/").get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=old["Key"])
    with (tmp_path / "news.toml").open("a", encoding="utf-8") as classifier:
        classifier.write("\n[capture]\nseconds = 1\ntext = 'off'\n")
    monkeypatch.setattr(waits, "_FIRST_S", 0.1)
    monkeypatch.setattr(aws, "client", CLIENT)
    return shelf


def invoke(shelf, text="stock market"):
    answer = CLIENT("sagemaker-runtime").invoke_endpoint(
        EndpointName=f"perennial-{shelf.environment}-news-serverless",
        ContentType="application/json",
        Body=json.dumps({"text": text}),
    )
    return json.loads(answer["Body"].read())["model_version"]


def wait_until_logged(shelf, texts):
    """What callers asked the champion is where the next release looks for it."""
    served, now = shelf.journal().champion, datetime.now(UTC)
    span = (now - timedelta(hours=1), now + timedelta(hours=1))
    about = Checked("news", served.version, served.bundle_digest, *span)
    end = time.monotonic() + 120
    found = set()
    while set(texts) - found:
        assert time.monotonic() < end, len(found)
        time.sleep(0.2)
        s3, bucket = CLIENT("s3"), Settings().data_bucket
        chosen = predictions.select(s3, bucket, about, 10_000)
        read = predictions.read(s3, chosen, ("text",))
        found = {text for batch in read for text in batch["text"].to_pylist()}


def made(sandbox):
    """What SageMaker was asked to make or change since the last look."""
    changes = ("CreateEndpoint", "UpdateEndpoint", "DeleteEndpoint")
    calls = Counter(one["action"] for one in sandbox.calls() if one["service"] == "sagemaker")
    sandbox.clear_calls()
    return [calls[one] for one in changes]


def test_a_version_answers_what_callers_asked_before_it_gets_them(shelf, sandbox, callers):
    first, bad = (shelf.version(seed=seed, engine="openvino-int8") for seed in (1, 4))
    second = shelf.version(seed=1, spread=0.499, engine="openvino-int8")
    sandbox.clear_calls()

    deploy("news", first, PLAN)
    assert [invoke(shelf, text) for text in ASKED] == [first] * len(ASKED)
    wait_until_logged(shelf, ASKED)
    assert made(sandbox) == [2, 0, 1]

    with pytest.raises(GateFailed, match=r"FAIL after .* logged .*: other answers than"):
        deploy("news", bad, PLAN)
    assert (made(sandbox), invoke(shelf)) == ([1, 0, 1], first)

    with callers(lambda: invoke(shelf), pause_s=0.3) as heard:
        deploy("news", second, PLAN)
    assert (heard.failures, invoke(shelf)) == ([], second)
    assert made(sandbox) == [1, 1, 1]
    assert shelf.actions()[-2:] == [("started", second), ("released", second)]

    rollback("news")
    assert (made(sandbox), invoke(shelf)) == ([0, 1, 0], first)
    assert shelf.journal().champion.version == shelf.alias("champion") == first
