"""What the smoke test by hand is told; that it tests what really serves is in the flows' tests."""

import pytest

from deployments import smoke
from deployments.smoke import Wanted
from tasks.errors import BadInput
from tasks.policy.smoke import SmokeReport
from tasks.records import Outcome


class Fleet:
    """Stand in for EC2, with one instance."""

    def describe_instances(self, InstanceIds):  # noqa: N803
        assert InstanceIds == ["i-1"]
        return {"Reservations": [{"Instances": [{"PrivateIpAddress": "10.0.0.7"}]}]}


def test_host_wins_over_the_address_and_the_address_over_the_instance(monkeypatch):
    monkeypatch.setattr(smoke.aws, "client", lambda service: {"ec2": Fleet()}[service])
    address, one = {"public_ip_staging": "192.0.2.7"}, {"ec2_instance_id": "i-1"}

    assert smoke.address(Wanted(host="https://a.b", **address, **one)) == "https://a.b"
    assert smoke.address(Wanted(host="a.b:9000", **address)) == "http://a.b:9000"
    assert smoke.address(Wanted(**address, **one)) == "http://192.0.2.7:8000"
    assert smoke.address(Wanted(**one)) == "http://10.0.0.7:8000"


def test_variables_are_named_when_none_says_which_endpoint(capsys, monkeypatch):
    for name in ("HOST", "PUBLIC_IP_STAGING", "EC2_INSTANCE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MODEL_NAME", "bert-news-classifier")

    assert smoke.main() == 1
    assert "HOST, PUBLIC_IP_STAGING or EC2_INSTANCE_ID" in capsys.readouterr().err


def test_a_model_of_no_classifier_is_told_with_those_there_are():
    with pytest.raises(BadInput, match=r"MODEL_NAME=cats: .* there are bert-genre-classifier"):
        smoke.run(Wanted(host="a", model_name="cats"))


def test_the_page_sets_numbers_beside_their_targets():
    page = smoke.page(SmokeReport(Outcome.FAIL, ("why",), {"p50_ms": 99.5, "p99_ms": 501.0}))

    assert page.splitlines() == [
        "p50_ms                99.500  target 100, met",
        "p99_ms               501.000  target 500, missed",
        "why",
        "FAIL",
    ]
