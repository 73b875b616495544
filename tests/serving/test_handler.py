import base64
import json
import logging
import subprocess
import sys
import tarfile

import boto3
import pytest

from serving.handler import handler, main
from training.formats import BundleManifest

SECRET = "zyxwv-private-words"


class Context:
    aws_request_id = "lambda-1"


@pytest.fixture
def here(served, monkeypatch):
    """The function with its bundle on disk; the bundle's labels."""
    monkeypatch.setenv("MODEL_PATH", str(served))
    return BundleManifest.model_validate_json((served / "manifest.json").read_text()).labels


def test_a_text_is_answered_with_every_labels_probability(here):
    answer = handler({"text": "the team won the cup"}, Context())

    body = answer["body"]
    assert (list(answer), answer["statusCode"]) == (["statusCode", "body"], 200)
    assert list(body) == ["predicted_class", "confidence", "probabilities"]
    assert tuple(body["probabilities"]) == here
    assert body["probabilities"][body["predicted_class"]] == body["confidence"]
    assert sum(body["probabilities"].values()) == pytest.approx(1)


def test_cut_tokens_are_told(here):
    assert handler({"text": "team " * 60}, Context())["body"]["truncated"] is True


@pytest.mark.parametrize("encoded", [False, True])
def test_api_gateway_gets_the_same_as_text(here, encoded):
    body = json.dumps({"text": "oil price"}).encode()
    event = {
        "requestContext": {},
        "body": base64.b64encode(body).decode() if encoded else body.decode(),
        "isBase64Encoded": encoded,
    }

    answer = handler(event, Context())

    assert answer["statusCode"] == 200
    assert answer["headers"]["X-Request-Id"] == "lambda-1"
    assert json.loads(answer["body"]) == handler({"text": "oil price"}, Context())["body"]


@pytest.mark.parametrize(
    ("event", "status", "error"),
    [
        (None, 422, "validation_error"),
        ([], 422, "validation_error"),
        ({}, 422, "validation_error"),
        ({"text": ""}, 422, "validation_error"),
        ({"text": 5}, 422, "validation_error"),
        ({"text": SECRET + "\ud800"}, 422, "validation_error"),
        ({"text": SECRET + "\x00"}, 422, "validation_error"),
        ({"text": SECRET * 2000}, 422, "validation_error"),
        ({"text": "a", SECRET: 1}, 422, "validation_error"),
        ({"data": SECRET}, 422, "validation_error"),
        ({"text": "a", "model_version": SECRET}, 404, "model_version_not_found"),
    ],
)
def test_a_wrong_event_is_an_answer_in_the_error_shape(here, event, status, error):
    answer = handler(event, Context())

    assert answer["statusCode"] == status
    assert list(answer["body"]) == ["error", "message", "timestamp", "request_id"]
    assert (answer["body"]["error"], answer["body"]["request_id"]) == (error, "lambda-1")
    assert SECRET not in str(answer)


@pytest.mark.parametrize("body", [None, "", "{", '{"text": "a", "text": "b"}', "\ud800", "[]"])
def test_a_wrong_body_through_api_gateway_is_refused(here, body):
    answer = handler({"httpMethod": "POST", "body": body}, Context())

    assert answer["statusCode"] in (400, 422)
    assert json.loads(answer["body"])["request_id"] == "lambda-1"


def test_the_bundle_is_fetched_at_the_first_call(sandbox, served, tmp_path, monkeypatch):
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(served, ".")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="lambda-models")
    s3.upload_file(str(archive), "lambda-models", "7/model.tar.gz")
    manifest = BundleManifest.model_validate_json((served / "manifest.json").read_text())
    monkeypatch.setenv("S3_BUCKET", "lambda-models")
    monkeypatch.setenv("S3_KEY", "7/model.tar.gz")
    monkeypatch.setenv("MODEL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BUNDLE_DIGEST", manifest.digest)

    first = handler({"text": "goal"}, Context())
    s3.delete_object(Bucket="lambda-models", Key="7/model.tar.gz")
    second = handler({"text": "goal"}, Context())

    assert first["statusCode"] == 200
    assert second == first


@pytest.mark.parametrize("digest", ["0" * 64, ""])
def test_a_bundle_that_is_wrong_or_missing_is_503_and_the_log_says_why(
    here, digest, monkeypatch, caplog
):
    monkeypatch.setenv("BUNDLE_DIGEST", digest)
    if not digest:
        monkeypatch.delenv("MODEL_PATH")

    with caplog.at_level(logging.ERROR):
        answer = handler({"text": SECRET}, Context())

    assert (answer["statusCode"], answer["body"]["error"]) == (503, "failed")
    assert ("BUNDLE_DIGEST=0000" if digest else "S3_BUCKET") in caplog.text
    assert SECRET not in caplog.text


def test_it_answers_on_a_terminal(served, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["handler", "--model-path", str(served), "--text", "goal"])

    assert main() == 0

    assert json.loads(capsys.readouterr().out)["predicted_class"]


def test_a_refusal_on_a_terminal_is_its_exit_code():
    ended = subprocess.run(
        [sys.executable, "-m", "serving.handler", ""], capture_output=True, text=True
    )

    assert (ended.returncode, json.loads(ended.stdout)["message"]) == (1, "Text is empty")
