"""Who may call the EC2 endpoints of an environment."""

import boto3
import pytest
from moto import mock_aws

from deployments.callers import Callers
from serving import keys


@pytest.fixture
def callers(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield Callers(boto3.client("secretsmanager"), "perennial-dev", {"Project": "perennial"})


def test_the_probes_own_key_is_made_once_and_accepted(callers):
    callers.ensure()
    key = callers.own()
    callers.ensure()

    assert callers.own() == key
    assert keys.Keyring(callers.stored()).find(key.encode()).id == "operator"


def test_a_probes_key_that_is_no_longer_accepted_is_replaced_and_others_stay(callers):
    alice = keys.make("alice")[1]
    callers.ensure()
    lost = callers.own()
    callers.store((alice,))

    callers.ensure()

    ring = keys.Keyring(callers.stored())
    assert alice in callers.stored()
    assert ring.find(lost.encode()) is None
    assert ring.find(callers.own().encode())
