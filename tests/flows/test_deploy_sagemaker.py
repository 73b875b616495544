"""A release on a SageMaker endpoint that really serves."""

import io
import json
import time
from collections import Counter
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from plugins.releases import MODEL

from flows.deploy import RolloutPlan, deploy
from tasks import targets
from tasks.adapters import aws, endpoints, probes, registry
from tasks.classifiers import load
from tasks.errors import DeployFailed
from tasks.records import Served
from tasks.settings import Settings

PLAN = RolloutPlan(target="sagemaker")


def invoke(shelf):
    answer = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=f"perennial-{shelf.environment}-news",
        ContentType="application/json",
        Body=json.dumps({"text": "stock market"}),
    )
    return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())["model_version"]


def test_second_release_replaces_the_first_and_a_silent_rollback_is_a_failure(
    shelf, sandbox, callers, back_and_timed
):
    versions = (shelf.version(seed=seed, engine="openvino-int8") for seed in (1, 2, 3))
    first, second, third = versions
    sandbox.clear_calls()

    deploy("news", first, PLAN)
    assert invoke(shelf) == (f"v{first}", first)

    with callers(lambda: invoke(shelf)) as heard:
        walk_by_hand(shelf, first, second)
        deploy("news", second, PLAN)
    assert invoke(shelf) == (f"v{second}", second)
    assert heard.failures == []
    assert {version for _, version in heard.answers} == {first, second}

    sandbox.fault(kind="silent-rollback")
    silent = pytest.raises(DeployFailed, match="AWS rolled it back: it serves config")
    with callers(lambda: invoke(shelf)) as heard, silent:
        deploy("news", third, PLAN)
    assert heard.failures == []
    assert {version for _, version in heard.answers} == {second}
    assert shelf.journal().champion.version == shelf.alias("champion") == second
    assert shelf.actions()[-2:] == [("started", third), ("rolled-back", third)]
    calls = [call for call in sandbox.calls() if call["service"] == "sagemaker"]
    made = Counter(call["action"] for call in calls)
    assert made["CreateEndpoint"] == 1
    assert made["DeleteEndpointConfig"] == 0
    asked = [call["asked"] for call in calls if call["action"] == "UpdateEndpoint"]
    assert len(asked) == 3
    for one in asked:
        assert_guarded(one)

    heard = back_and_timed(lambda: invoke(shelf)[1])
    assert (heard.failures, invoke(shelf)) == ([], (f"v{first}", first))
    assert shelf.journal().champion.version == shelf.alias("champion") == first
    assert_logged({(f"v{first}", first), (f"v{second}", second)})


def assert_logged(wanted):
    """Both variants have written down what callers asked, and not what the release asked."""
    s3, bucket = aws.client("s3"), Settings().data_bucket
    end = time.monotonic() + 120
    rows = []
    while wanted - {(row["variant"], row["model_version"]) for row in rows}:
        assert time.monotonic() < end, Counter(row["variant"] for row in rows)
        time.sleep(0.5)
        found = s3.list_objects_v2(Bucket=bucket, Prefix="data-capture/news/").get("Contents", ())
        bodies = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found]
        rows = [row for body in bodies for row in pq.read_table(io.BytesIO(body)).to_pylist()]
    assert probes.HELLO["text"] not in {row["text"] for row in rows}


def walk_by_hand(shelf, first, second):
    """Every step of the target, before a flow releases what these leave beside the old one."""
    settings = Settings()
    place = targets.place_of(settings, load("news", settings.classifiers_dir), "sagemaker")
    model = registry.get_version(registry.client(shelf.mlflow), MODEL, second)
    wanted = Served(second, model.bundle_uri, model.bundle_digest, "sagemaker")
    step = (aws.client, place, wanted, "by hand")

    assert not endpoints.warm(*step)
    endpoints.prepare(*step)
    endpoints.stage(*step)
    assert endpoints.warm(*step)
    assert endpoints.healthy(*step, "new")
    assert endpoints.healthy(*step, "old")
    sides = [endpoints.session(*step, side).ask({"text": "bank"}) for side in ("new", "old")]
    assert [answer.version for answer in sides] == [second, first]
    assert_healthy(endpoints.look(aws.client, place, 60), first)
    assert [endpoints.scale_out(*step) for _ in range(2)] == [f"v{second} has 2 instances"] * 2

    split_and_count(shelf, step, first, second)

    aws_says = endpoints.updates.there(aws.client("sagemaker"), place)["ProductionVariants"]
    assert [one["CurrentInstanceCount"] for one in aws_says] == [1, 2]
    assert endpoints.restore(*step) == f"v{first} 100, v{second} 0"


def assert_healthy(answer, version):
    assert (answer.status, answer.version) == (200, version)
    assert 0 < answer.seconds < 60


def split_and_count(shelf, step, first, second):
    """30 percent are 30 percent, and CloudWatch has counted what the callers were told."""
    since = datetime.now(UTC)
    assert endpoints.shift(*step, 30) == f"v{first} 70, v{second} 30"
    told = Counter(invoke(shelf)[1] for _ in range(100))
    new, old = endpoints.traffic(*step, since, datetime.now(UTC), 60)

    assert 9 < told[second] < 51  # 100 x 0.3, and 4.6 standard deviations
    # The callers of the test ask on meanwhile, and the minute began before the steps did.
    assert (new.version, old.version) == (second, first)
    assert (new.requests >= told[second], old.requests >= told[first]) == (True, True)
    assert (new.errors, old.errors, new.slow, old.slow) == (0, 0, 0, 0)
    assert 0 < new.p50_ms <= new.p95_ms <= new.p99_ms < 60_000


def assert_guarded(update):
    """An update of the endpoint rolls back by itself while the old fleet is there."""
    assert update["RetainAllVariantProperties"] is True
    policy = update["DeploymentConfig"]
    assert policy["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] > 0
    names = [one["AlarmName"] for one in policy["AutoRollbackConfiguration"]["Alarms"]]
    there = aws.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert names
    assert [one["AlarmName"] for one in there] == names
