"""The classifier as an AWS Lambda function: `serving.handler.handler`; no server, same answers.

On a terminal: `python -m serving.handler "text"`, with `--model-path` for a bundle on this disk or
`--endpoint` for a SageMaker endpoint in place of this process.
"""

import argparse
import base64
import binascii
import json
import logging
import sys
import tempfile
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving import bodies, contract, envelope, fetch
from serving.contract import Refusal, TextRequest
from serving.errors import CannotStart

if TYPE_CHECKING:
    from training.bundle import Classifier

logger = logging.getLogger(__name__)


class HandlerSettings(BaseSettings):
    """The function's only reader of its environment."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    model_path: Path | None = Field(None, description="folder of the bundle; nothing is fetched")
    s3_bucket: str = Field("", description="where the bundle is, when it is not on disk")
    s3_key: str = "models/distilbert-agnews/model.tar.gz"
    bundle_digest: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="the only one taken")
    # Of a function's file system this folder alone can be written, and it outlives a call.
    model_cache_dir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir(), "bundles"))
    model_version: str = "unversioned"
    max_chars: int = Field(20_000, ge=1, le=1_000_000)


def handler(event: Any, context: object) -> dict[str, Any]:
    """What Lambda calls, directly or for API Gateway; a refusal is an answer, not an exception."""
    request_id = getattr(context, "aws_request_id", None) or uuid.uuid4().hex
    return respond(event, request_id, HandlerSettings())


def respond(event: Any, request_id: str, settings: HandlerSettings) -> dict[str, Any]:
    """Status and body, the body as text for API Gateway and as an object for all others."""
    body: dict[str, Any]
    try:
        status, body = 200, _classify(_asked(event), settings)
    except Refusal as refusal:
        status = refusal.status
        body = json.loads(envelope.error_body(refusal.error, refusal.message, request_id))
    except Exception as error:
        # Without the exception's own message, which may quote the caller's text.
        logger.error("%s: request failed: %s", request_id, type(error).__name__)
        status, told = 500, "The request could not be answered"
        body = json.loads(envelope.error_body("internal_error", told, request_id))
    if not _from_gateway(event):
        return {"statusCode": status, "body": body}
    return {
        "statusCode": status,
        "headers": {"Content-Type": bodies.JSON, "X-Request-Id": request_id},
        "isBase64Encoded": False,
        "body": orjson.dumps(body).decode(),
    }


def _from_gateway(event: Any) -> bool:
    return isinstance(event, dict) and ("requestContext" in event or "httpMethod" in event)


def _asked(event: Any) -> TextRequest:
    payload = event
    if _from_gateway(event):
        body = (event.get("body") or "").encode("utf-8", "surrogatepass")
        if event.get("isBase64Encoded"):
            try:
                body = base64.b64decode(body, validate=True)
            except binascii.Error:
                raise Refusal(400, "invalid_encoding", "The body is not base64") from None
        payload = bodies.parse(body)
    ask = contract.ask_of(payload, ("text",))
    assert isinstance(ask, TextRequest)
    return ask


def _classify(ask: TextRequest, settings: HandlerSettings) -> dict[str, Any]:
    if ask.model_version not in (None, settings.model_version):
        message = f"This function serves model version {settings.model_version} only"
        raise Refusal(404, "model_version_not_found", message)
    text = contract.fit(ask.text, settings.max_chars)
    try:
        classifier = _classifier(settings)
    except CannotStart as error:
        logger.error("the model cannot be served: %s", error)
        raise Refusal(503, "failed", "The model cannot be loaded") from None
    (found,) = classifier.predict([text])
    answer = {
        "predicted_class": found.label,
        "confidence": found.confidence,
        "probabilities": dict(zip(classifier.manifest.labels, found.probabilities, strict=True)),
    }
    return answer | ({"truncated": True} if found.truncated else {})


@cache
def _classifier(settings: HandlerSettings) -> "Classifier":
    """The verified bundle, loaded at the first call and kept for those that follow."""
    from training.bundle import BundleError, Classifier  # seconds, which a wrong text need not pay

    try:
        classifier = Classifier.load(settings.model_path or _fetched(settings))
    except BundleError as error:
        raise CannotStart(str(error)) from error
    found, wanted = classifier.manifest.digest, settings.bundle_digest
    if wanted and found != wanted:
        raise CannotStart(f"digest is {found[:12]}..., not BUNDLE_DIGEST={wanted[:12]}...")
    return classifier


def _fetched(settings: HandlerSettings) -> Path:
    if not settings.s3_bucket:
        raise CannotStart("neither MODEL_PATH nor S3_BUCKET says where the model is")
    name = settings.bundle_digest or settings.s3_key.replace("/", "_")
    folder = settings.model_cache_dir / name
    uri = f"s3://{settings.s3_bucket}/{settings.s3_key}"
    if not folder.is_dir():
        try:
            fetch.fetch(uri, settings.bundle_digest, folder)
        except Exception as error:
            raise CannotStart(f"{uri}: {error}") from error
    return folder


def _invoke(endpoint: str, text: str) -> Any:
    """The answer of a SageMaker endpoint."""
    import boto3

    answer = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, ContentType=bodies.JSON, Body=orjson.dumps({"text": text})
    )
    return json.loads(answer["Body"].read())


def main() -> int:
    """Print the answer as JSON; 1 when it is a refusal."""
    parser = argparse.ArgumentParser(prog="python -m serving.handler")
    parser.add_argument("words", nargs="?", metavar="text")
    parser.add_argument("--text")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--model-path", type=Path, help="folder of a bundle on this disk")
    where.add_argument("--endpoint", help="name of a SageMaker endpoint")
    given = parser.parse_args()
    text = given.words if given.text is None else given.text
    if text is None:
        parser.error("give a text")
    if given.endpoint:
        answer, status = _invoke(given.endpoint, text), 200
    else:
        path = given.model_path
        settings = HandlerSettings(model_path=path) if path else HandlerSettings()
        said = respond({"text": text}, uuid.uuid4().hex, settings)
        answer, status = said["body"], said["statusCode"]
    sys.stdout.write(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
