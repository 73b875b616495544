"""The keys that a server accepts, and those that it must not."""

import hmac
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from serving import keys
from serving.errors import CannotStart
from serving.keysource import keys_of
from serving.settings import ServingSettings


def stored(*callers: str, **options):
    made = [keys.make(caller, **options) for caller in callers]
    return [key.encode() for key, _ in made], keys.document(one for _, one in made)


def test_a_key_is_found_by_its_hash_and_never_kept(tmp_path):
    (alice, _), document = stored("alice", "bob")

    found = keys.read(document.encode()).find(alice)

    assert found is not None
    assert (found.id, found.kind) == ("alice", "standard")
    assert alice.decode().partition(".")[2] not in document


def test_of_ten_thousand_wrong_keys_none_is_accepted():
    (alice,), document = stored("alice")
    ring = keys.read(document.encode())
    name = alice.partition(b".")[0]
    wrong = [name + b"." + bytes([letter % 256]) * (letter % 90) for letter in range(5000)]
    wrong += [keys.make("alice")[0].encode() for _ in range(4994)]
    wrong += [b"", b".", name, alice[:-1], alice + b"=", alice.upper()]

    assert not any(ring.find(key) for key in wrong)
    assert ring.find(alice)


def test_hashes_are_compared_in_constant_time(monkeypatch):
    (alice,), document = stored("alice")
    ring = keys.read(document.encode())
    compared = []

    def compare(ours, theirs):
        compared.append((ours, theirs))
        return hmac.compare_digest(ours, theirs)

    monkeypatch.setattr(keys, "hmac", SimpleNamespace(compare_digest=compare))
    for key in (alice, alice[:-1], alice + b"x"):
        ring.find(key)

    assert len(compared) == 3


def test_a_key_ends_at_its_time():
    key, one = keys.make("alice", days=1)
    ended = one.model_copy(update={"not_after": datetime.now(UTC) - timedelta(seconds=1)})

    assert keys.read(keys.document([one]).encode()).find(key.encode())
    assert keys.read(keys.document([ended]).encode()).find(key.encode()) is None


def test_the_printed_document_accepts_the_printed_key():
    command = [sys.executable, "-m", "serving.keys", "new", "--id", "alice", "--class", "load-test"]

    done = subprocess.run(command, check=True, capture_output=True, text=True)

    key = done.stderr.split("only now: ")[1].split()[0]
    found = keys.read(done.stdout.encode()).find(key.encode())
    assert found is not None
    assert (found.id, found.kind) == ("alice", "load-test")


def source(tmp_path, text: str | None, **options):
    file = tmp_path / "keys.json"
    if text is not None:
        file.write_text(text)
    return ServingSettings(api_keys_file=file, **options)


_NO_TIME = {"not_after": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("[]", "is not a document of keys"),
        ('{"keys": ["secret-in-clear"]}', "is not a document of keys: keys.0"),
        ('{"keys": []}', "holds no key that is still accepted"),
        (json.dumps({"keys": [json.loads(stored("a")[1])["keys"][0] | _NO_TIME]}), "holds no key"),
    ],
    # Keys are random: in an id they would differ from one test process to the next.
    ids=["no file", "empty", "blank", "a list", "in clear", "none", "expired"],
)
def test_keys_that_let_nobody_in_stop_the_server(tmp_path, text, said):
    with pytest.raises(CannotStart, match=said) as refused:
        keys_of(source(tmp_path, text))

    assert str(refused.value).startswith(f"API_KEYS_FILE={tmp_path}")
    assert "secret-in-clear" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_auth_without_any_source_stops_the_server_and_says_what_to_do():
    with pytest.raises(CannotStart, match=r"AUTH=keys, but no .* python -m serving\.keys new"):
        keys_of(ServingSettings(auth="keys"))


def test_auth_off_beside_keys_is_a_mistake(tmp_path):
    with pytest.raises(CannotStart, match="AUTH=off, but API_KEYS_FILE"):
        keys_of(source(tmp_path, stored("alice")[1], auth="off"))


def test_two_keys_of_a_caller_live_while_one_is_rotated_and_then_only_the_new(tmp_path):
    (old, new), both = stored("alice", "alice")
    settings = source(tmp_path, keys.document(keys.KeyDocument.model_validate_json(both).keys[:1]))
    live = keys_of(settings)

    seen = []
    for document in (both, keys.document(keys.KeyDocument.model_validate_json(both).keys[1:])):
        settings.api_keys_file.write_text(document)
        live.refresh()
        seen.append((bool(live.find(old)), bool(live.find(new))))

    assert seen == [(True, True), (False, True)]


@pytest.mark.parametrize("broken", ["", "{", None])
def test_a_source_that_breaks_later_changes_nothing_until_it_is_mended(tmp_path, broken):
    (alice,), document = stored("alice")
    settings = source(tmp_path, document)
    live = keys_of(settings)

    settings.api_keys_file.unlink()
    if broken is not None:
        settings.api_keys_file.write_text(broken)
    live.refresh()

    assert live.find(alice)
    settings.api_keys_file.write_text('{"keys": []}')
    live.refresh()
    assert not live.find(alice)


def test_keys_come_from_secrets_manager_and_follow_it(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    (old,), first = stored("alice")
    (new,), second = stored("alice")
    with mock_aws():
        settings = ServingSettings(api_keys_secret="perennial/keys")
        with pytest.raises(CannotStart, match="API_KEYS_SECRET=perennial/keys cannot be read"):
            keys_of(settings)
        client = boto3.client("secretsmanager")
        client.create_secret(Name="perennial/keys", SecretString=first)
        live = keys_of(settings)
        before = bool(live.find(old)), bool(live.find(new))
        client.put_secret_value(SecretId="perennial/keys", SecretString=second)
        live.refresh()
        after = bool(live.find(old)), bool(live.find(new))

    assert (before, after) == ((True, False), (False, True))
