"""The bootstrap stack in the sandbox: what of it works without a flow."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from deployments.account import Account
from tasks.adapters import aws, gauges


@pytest.fixture
def account(sandbox, monkeypatch):
    monkeypatch.setenv("PERENNIAL_ENVIRONMENT", "watched")
    account = Account()
    account.create()
    return account


def state_of(alarm):
    (found,) = aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return found["StateValue"]


def becomes(alarm, state):
    end = time.monotonic() + 60
    while state_of(alarm) != state:
        assert time.monotonic() < end, f"{alarm} is {state_of(alarm)}"
        time.sleep(0.2)
    return True


def test_the_alarm_is_red_while_no_heart_beats(account):
    red = becomes("perennial-watched-heartbeat", "ALARM")
    here = {"Environment": "watched"}
    for minutes in range(0, 12, 2):
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        gauges.put(aws.client("cloudwatch"), "Perennial/Health", {"Heartbeat": 1}, here, at)

    assert red
    assert becomes("perennial-watched-heartbeat", "OK")


def test_runs_know_of_other_environments_and_of_no_secret(account, monkeypatch):
    monkeypatch.setenv("PERENNIAL_HEALTH_URLS", "https://staging.example")
    monkeypatch.setenv("PERENNIAL_NOTIFY_URLS", "json://hush")

    told = Account().job_environment()

    assert told["PERENNIAL_HEALTH_URLS"] == "https://staging.example"
    assert "hush" not in str(told)
