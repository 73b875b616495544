"""Which AWS operation an HTTP request is, and what an error of it looks like on the wire."""

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
Start = Callable[..., Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_RUNTIME = re.compile(r"^/endpoints/[^/]+/(async-)?invocations")
_CBOR = re.compile(r"^/service/[^/]+/operation/(\w+)")
_SERVICES = {"monitoring": "cloudwatch", "elasticloadbalancing": "elbv2"}
_READS = (
    *("Describe", "List", "Get", "Head", "Search", "BatchGet", "Simulate", "Validate"),
    *("Assume", "Filter", "Query", "Lookup", "Estimate", "InvokeEndpoint"),
)
_TELEMETRY = ("PutMetricData", "PutLogEvents")
_BUCKET_VERBS = {
    "PUT": "CreateBucket",
    "DELETE": "DeleteBucket",
    "HEAD": "HeadBucket",
    "GET": "ListObjectsV2",
    "POST": "PostObject",
}
_UPLOAD_VERBS = {
    "PUT": "UploadPart",
    "POST": "CompleteMultipartUpload",
    "DELETE": "AbortMultipartUpload",
}
_KEY_VERBS = {
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "HEAD": "HeadObject",
    "GET": "GetObject",
    "POST": "PostObject",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: boto3's name of the service, the operation, and the protocol it speaks."""

    service: str
    action: str
    protocol: str

    @property
    def changes_state(self) -> bool:
        return not self.action.startswith(_READS) and self.action not in _TELEMETRY


def recognise(environ: Environ) -> Call:
    """Name the operation; leaves the request's body readable."""
    found = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    signed = found[1] if found else ""
    service = _SERVICES.get(signed, signed)
    path = environ["PATH_INFO"]
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return Call(service, target.rsplit(".", 1)[-1], "json")
    if _RUNTIME.match(path):
        action = "InvokeEndpointAsync" if "async" in path else "InvokeEndpoint"
        return Call("sagemaker-runtime", action, "rest-json")
    if operation := _CBOR.match(path):
        return Call(service, operation[1], "cbor")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(buffered(environ).decode(errors="replace"))
        protocol = "ec2" if service == "ec2" else "query"
        return Call(service, fields.get("Action", [""])[0], protocol)
    if service in ("s3", ""):
        return Call("s3", _object_action(environ), "rest-xml")
    return Call(service, f"{environ['REQUEST_METHOD']} {path}", "rest-json")


def buffered(environ: Environ) -> bytes:
    """The request's body, left in place for the next reader."""
    length = environ.get("CONTENT_LENGTH")
    # In chunks it comes without a length, and ends by itself.
    known = 0 if not environ.get("wsgi.input_terminated") else -1
    body: bytes = environ["wsgi.input"].read(int(length) if length else known)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _object_action(environ: Environ) -> str:
    method: str = environ["REQUEST_METHOD"]
    asked = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    _, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    if environ["PATH_INFO"] == "/":
        return "ListBuckets"
    if "delete" in asked:
        return "DeleteObjects"
    if "uploads" in asked:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if "uploadId" in asked:
        return _UPLOAD_VERBS.get(method, "ListParts")
    for part in ("tagging", "versioning", "policy", "acl", "encryption", "lifecycle", "location"):
        if part in asked:
            verb = {"PUT": "Put", "DELETE": "Delete"}.get(method, "Get")
            return f"{verb}{'Object' if key else 'Bucket'}{part.title()}"
    if key and "HTTP_X_AMZ_COPY_SOURCE" in environ and method == "PUT":
        return "CopyObject"
    verbs = _KEY_VERBS if key else _BUCKET_VERBS
    return verbs.get(method, str(method))


_CODES = {
    # kind: status and code per protocol; "" is every other protocol
    "throttle": {
        "": (400, "ThrottlingException"),
        "query": (400, "Throttling"),
        "ec2": (503, "RequestLimitExceeded"),
        "rest-xml": (503, "SlowDown"),
    },
    "error-500": {"": (500, "InternalFailure"), "rest-xml": (500, "InternalError")},
    "expired-credentials": {
        "": (400, "ExpiredTokenException"),
        "query": (403, "ExpiredToken"),
        "ec2": (400, "ExpiredToken"),
        "rest-xml": (400, "ExpiredToken"),
    },
    "access-denied": {
        "": (400, "AccessDeniedException"),
        "query": (403, "AccessDenied"),
        "ec2": (403, "UnauthorizedOperation"),
        "rest-xml": (403, "AccessDenied"),
    },
}
_MESSAGES = {
    "throttle": "Rate exceeded",
    "error-500": "We encountered an internal error. Please try again.",
    "expired-credentials": "The security token included in the request is expired",
    "access-denied": "User: arn:aws:iam::123456789012:user/test is not authorized to perform: {}",
}
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"


def answer_error(kind: str, call: Call, start: Start) -> list[bytes]:
    """Answer as AWS does in the protocol of the call, so that botocore raises the right error."""
    kind = "error-500" if kind == "commit-then-500" else kind
    status, code = _CODES[kind].get(call.protocol, _CODES[kind][""])
    message = _MESSAGES[kind].format(f"{call.service}:{call.action}")
    mime, body = _body(call.protocol, code, message)
    headers = [
        ("Content-Type", mime),
        ("Content-Length", str(len(body))),
        ("x-amzn-RequestId", _REQUEST_ID),
    ]
    if call.protocol in ("json", "rest-json"):
        headers.append(("x-amzn-ErrorType", code))
    if call.protocol == "cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    start(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


def _body(protocol: str, code: str, message: str) -> tuple[str, bytes]:
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    match protocol:
        case "query":
            text = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
        case "ec2":
            text = f"<Response><Errors><Error>{error}</Error></Errors></Response>"
        case "rest-xml":
            text = f"<Error>{error}</Error>"
        case "cbor":
            parts = ("__type", code, "message", message)
            return "application/cbor", b"\xa2" + b"".join(_cbor_text(part) for part in parts)
        case _:
            body = json.dumps({"__type": code, "message": message}).encode()
            return "application/x-amz-json-1.1", body
    return "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


def _cbor_text(text: str) -> bytes:
    raw = text.encode()
    return (bytes([0x60 + len(raw)]) if len(raw) < 24 else bytes([0x78, len(raw)])) + raw
