import io
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from plugins.bundles import make_tar

from deployments.callers import Callers
from tasks.adapters import aws, colours, commands, fleet, probes
from tasks.errors import DeployFailed, OldSideDown
from tasks.records import Place, Served
from training.formats import BundleManifest

BUCKET = "fleet-models"
CHECKOUT = Path(__file__).resolve().parents[3]
HELLO = {"text": "stock market"}


@pytest.fixture(scope="module")
def place(sandbox):
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("iam").create_instance_profile(InstanceProfileName="fleet-test")
    Callers(aws.client("secretsmanager"), "perennial-fleet", {}).ensure()
    return Place(
        classifier="news",
        task="news-topic",
        target="ec2",
        project="perennial",
        environment="fleet",
        image="123456789012.dkr.ecr.us-east-1.amazonaws.com/perennial-serving:test",
        role_arn="arn:aws:iam::123456789012:role/perennial-test",
        instance_profile="fleet-test",
        topic_arn="arn:aws:sns:us-east-1:123456789012:perennial-test",
        template=str(CHECKOUT / "infra/cloudformation/ec2-serving.yaml"),
        vpc_id="",
        instance_type="c7i.large",
        max_chars=20_000,
        models_bucket=BUCKET,
        capture_uri=f"s3://{BUCKET}/data-capture/news",
        capture_seconds=1,
    )


@pytest.fixture(scope="module")
def wanted(place, tiny_bundle, tmp_path_factory):
    @cache
    def make(version, archive=None):
        folder = tiny_bundle(seed=int(version), engine="openvino-int8")
        digest = BundleManifest.model_validate_json((folder / "manifest.json").read_bytes()).digest
        tar = make_tar(folder, tmp_path_factory.mktemp("archive") / "model.tar.gz")
        body = archive or tar.read_bytes()
        aws.client("s3").put_object(Bucket=BUCKET, Key=f"{version}/model.tar.gz", Body=body)
        return Served(version, f"s3://{BUCKET}/{version}/model.tar.gz", digest, "ec2")

    return make


def test_versions_follow_each_other_and_a_broken_one_never_gets_traffic(
    place, wanted, callers, sandbox
):
    first, second, broken = wanted("1"), wanted("2"), wanted("3", b"no archive")

    assert fleet.ask(aws.client, place, HELLO).status == 0
    assert not fleet.warm(aws.client, place, first, "op-1")
    fleet.prepare(aws.client, place, first, "op-1")
    with pytest.raises(DeployFailed, match="it gets no callers"):
        fleet.shift(aws.client, place, first, "op-1", 100)
    assert "green" in fleet.stage(aws.client, place, first, "op-1")
    fleet.shift(aws.client, place, first, "op-1", 100)
    fleet.prove(aws.client, place, first, HELLO)
    url = fleet.address(aws.client, place)

    with callers(lambda: asked(url)) as heard:
        sandbox.fault(service="ssm", action="SendCommand", kind="commit-then-500")
        assert "blue" in fleet.stage(aws.client, place, second, "op-2")
        assert sides(place, second, "op-2") == ("2", "1")
        assert fleet.ask(aws.client, place, HELLO).version == "1"
        fleet.shift(aws.client, place, second, "op-2", 30)
        assert "blue" in fleet.stage(aws.client, place, second, "op-2")
        fleet.shift(aws.client, place, second, "op-2", 100)
        fleet.prove(aws.client, place, second, HELLO)

        with pytest.raises(DeployFailed, match="not in gzip format"):
            fleet.stage(aws.client, place, broken, "op-3")
        fleet.restore(aws.client, place, broken, "op-3")
        fleet.prove(aws.client, place, second, HELLO)

    assert heard.failures == []
    assert probes.ask(url, HELLO, "no key").status == 401
    assert set(heard.answers) == {"1", "2"}
    assert [sent(place, op) for op in ("op-1", "op-2", "op-3")] == [1, 1, 1]


def test_callers_are_split_and_counted_and_going_back_starts_nothing(place, wanted):
    """Blue serves version 2 and green still runs version 1, as the test above left them."""
    first = wanted("1")
    assert fleet.warm(aws.client, place, first, "op-4")
    assert not fleet.warm(aws.client, place, replace(first, bundle_digest="0" * 64), "op-4")
    since = datetime.now(UTC)
    assert "ran already" in fleet.stage(aws.client, place, first, "op-4")

    fleet.shift(aws.client, place, first, "op-4", 30)
    before = counted(place, first, since)
    with probes.Session(fleet.address(aws.client, place), key()) as caller:
        told = Counter(caller.ask(HELLO).version for _ in range(200))
    after = counted(place, first, since)

    assert 30 < told["1"] < 90  # 200 x 0.3, and 4.6 standard deviations
    assert {v: after[v].requests - before[v].requests for v in after} == told
    new = after["1"]
    assert (new.errors, new.slow, after["2"].slow) == (0, new.requests, after["2"].requests)
    assert 0 < new.p50_ms <= new.p95_ms <= new.p99_ms
    assert fleet.scale_out(aws.client, place, first, "op-4") is None
    assert sent(place, "op-4") == 0


def test_what_callers_ask_is_in_the_log_and_what_we_ask_ourselves_is_not(place):
    url = fleet.address(aws.client, place)

    fleet.ask(aws.client, place, HELLO)
    sent = {"X-API-Key": key(), "X-Request-Id": "a-caller"}
    answer = httpx.post(f"{url}/predict", json={"text": "mail me@here.org"}, headers=sent)
    end = time.monotonic() + 60
    while not (rows := logged()):
        assert time.monotonic() < end
        time.sleep(0.1)

    assert answer.headers["x-logged"] == "true"
    told = [(row["request_id"], row["text"], row["model_version"]) for row in rows]
    assert told == [("a-caller", "mail <EMAIL>", answer.headers["x-model-version"])]
    assert rows[0]["variant"] in ("blue", "green")


def test_callers_are_never_sent_back_to_a_dead_side(place, wanted, callers):
    """The release of the test above goes on."""
    first = wanted("1")

    with callers(lambda: asked(fleet.address(aws.client, place))) as heard:
        fleet.shift(aws.client, place, first, "op-4", 100)
        assert "ran already" in fleet.stage(aws.client, place, first, "op-4")
        assert sides(place, first, "op-4") == ("1", "2")
        assert fleet.healthy(aws.client, place, first, "op-4", "old")
        out = fleet._outputs(aws.client, place)
        aws.client("ec2").stop_instances(InstanceIds=[out["BlueInstanceId"]])
        assert not fleet.healthy(aws.client, place, first, "op-4", "old")
        with pytest.raises(OldSideDown, match="green 100, blue 0, version 1 answers"):
            fleet.restore(aws.client, place, first, "op-4")

    assert heard.failures == []
    assert "1" in heard.answers


def logged():
    """The rows of the prediction log."""
    s3 = aws.client("s3")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="data-capture/news/").get("Contents", [])
    bodies = (s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in found)
    return [row for body in bodies for row in pq.read_table(io.BytesIO(body)).to_pylist()]


def key():
    return Callers(aws.client("secretsmanager"), "perennial-fleet", {}).own()


def asked(url):
    answer = probes.ask(url, HELLO, key())
    assert answer.status == 200, answer
    return answer.version


def sent(place, op_id):
    out = fleet._outputs(aws.client, place)
    instances = out["BlueInstanceId"], out["GreenInstanceId"]
    return sum(len(commands.sent(aws.client("ssm"), one, op_id)) for one in instances)


def sides(place, served, op_id):
    """Which version answers on the new and on the old side."""
    step = (aws.client, place, served, op_id)
    with fleet.session(*step, "new") as new, fleet.session(*step, "old") as old:
        return new.ask(HELLO).version, old.ask(HELLO).version


def counted(place, served, since):
    """The arm of each version, with every request over a microsecond as a slow one."""
    out = fleet._outputs(aws.client, place)
    seen = writes(out)
    end = time.monotonic() + 60
    while writes(out) < seen + 2:  # the first may have begun before the last request
        assert time.monotonic() < end, "the load balancer writes no metrics"
        time.sleep(0.3)
    told = fleet.traffic(aws.client, place, served, "op-4", since, datetime.now(UTC), 1e-6)
    return {arm.version: arm for arm in told}


def writes(out):
    """How often the load balancer has written its metrics."""
    now = datetime.now(UTC)
    told = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/ApplicationELB",
        MetricName="HealthyHostCount",
        Dimensions=[
            {"Name": name, "Value": value}
            for name, value in colours.dimensions(out, "Blue").items()
        ],
        StartTime=now - timedelta(minutes=30),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["SampleCount"],
    )
    return sum(point["SampleCount"] for point in told["Datapoints"])
