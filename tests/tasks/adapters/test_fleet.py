from pathlib import Path

import pytest
from plugins.bundles import make_tar

from deployments.callers import Callers
from tasks.adapters import aws, commands, fleet, probes
from tasks.errors import DeployFailed
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
    )


@pytest.fixture(scope="module")
def wanted(place, tiny_bundle, tmp_path_factory):
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
    fleet.prepare(aws.client, place, first, "op-1")
    assert "green" in fleet.stage(aws.client, place, first, "op-1")
    fleet.switch(aws.client, place, first, "op-1")
    fleet.prove(aws.client, place, first, HELLO)
    url = fleet.address(aws.client, place)

    with callers(lambda: asked(url)) as heard:
        sandbox.fault(service="ssm", action="SendCommand", kind="commit-then-500")
        assert "blue" in fleet.stage(aws.client, place, second, "op-2")
        assert fleet.ask_staged(aws.client, place, second, "op-2", HELLO).version == "2"
        assert fleet.ask(aws.client, place, HELLO).version == "1"
        fleet.switch(aws.client, place, second, "op-2")
        assert "blue" in fleet.stage(aws.client, place, second, "op-2")
        fleet.prove(aws.client, place, second, HELLO)

        with pytest.raises(DeployFailed, match="not in gzip format"):
            fleet.stage(aws.client, place, broken, "op-3")
        fleet.restore(aws.client, place, broken, "op-3")
        fleet.prove(aws.client, place, second, HELLO)

    assert heard.failures == []
    assert probes.ask(url, HELLO, "no key").status == 401
    assert set(heard.answers) == {"1", "2"}
    assert [sent(place, op) for op in ("op-1", "op-2", "op-3")] == [1, 1, 1]


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
