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


# SSM's SendCommand has neither a name nor a token: sent again after a lost answer it runs twice.
_ASKS_ONCE = frozenset({"ssm"})


def client(service: str, timeout_s: float | None = None) -> Any:
    """A client of the AWS service, typed by the caller's annotation.

    With a time-out it is for who must not wait: two attempts, each as short as that.
    """
    config = _CONFIG
    if timeout_s is not None:
        once_more: Any = {"mode": "standard", "total_max_attempts": 2}
        quick = Config(retries=once_more, connect_timeout=timeout_s, read_timeout=timeout_s)
        config = config.merge(quick)
    if service in _ASKS_ONCE:
        config = config.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
    return boto3.client(service, config=config)  # type: ignore[call-overload]
