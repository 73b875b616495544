"""The only maker of AWS clients. Where they go is decided by the standard AWS_* variables."""

from typing import Any

import boto3
from botocore.config import Config

# Standard mode retries throttling and 5xx with back-off; the read timeout bounds a hanging call.
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=5,
    read_timeout=60,
)


def client(service: str) -> Any:
    """A client of the AWS service, typed by the caller's annotation."""
    return boto3.client(service, config=_CONFIG)  # type: ignore[call-overload]
