"""Whom Slack and e-mail tell is kept as a secret at bootstrap."""

import pytest

from deployments import account
from deployments.account import Account
from tasks.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise asks for it
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7"


@pytest.fixture
def kept(monkeypatch):
    """What is written to Secrets Manager."""
    written = {}
    monkeypatch.setattr(account.aws, "client", lambda service: service)
    monkeypatch.setattr(
        account.secrets, "write", lambda _, name, value, tags: written.update({name: value})
    )
    return written


def test_notifiers_and_the_slack_webhook_are_one_secret(kept, monkeypatch):
    mail = "mailtos://me:word@example.com?to=a@example.com,b@example.com"
    monkeypatch.setenv("PERENNIAL_NOTIFY_URLS", f" {mail}\n")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", SLACK)

    Account(environment="prod").keep_notifiers()

    assert kept == {"perennial-prod/notify-urls": f"{mail}\n{SLACK}"}


def test_a_bootstrap_that_names_nobody_leaves_those_who_are_told(kept):
    Account().keep_notifiers()

    assert kept == {}


def test_a_url_that_nobody_knows_is_named_by_its_number_only(kept, monkeypatch, caplog):
    monkeypatch.setenv("PERENNIAL_NOTIFY_URLS", f"{SLACK} slak://hush/hush/hush")

    with pytest.raises(BadInput, match="of 2 URLs Apprise knows no service for number 2") as told:
        Account().keep_notifiers()

    assert kept == {}
    assert "hush" not in str(told.value) + caplog.text + repr(Account())
