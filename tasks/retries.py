"""When a step may be tried again: only when a second try can end differently."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

import httpx
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError
from prefect import Task, task
from prefect.cache_policies import NO_CACHE

P = ParamSpec("P")
R = TypeVar("R")

_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
_NETWORK = (
    AwsConnectionError,
    ConnectionClosedError,
    HTTPClientError,
    httpx.TransportError,
    ConnectionError,
    TimeoutError,
)


def may_pass(error: BaseException) -> bool:
    """Whether the same call can succeed a moment later.

    Throttling, 5xx and a lost connection can. Denied or expired credentials, a wrong request, a
    failed job, a closed gate and everything unknown cannot: those end the step at once.
    """
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response.get("Error", {}).get("Code") in _THROTTLED or status >= 500
    if type(error).__module__ == "mlflow.exceptions":  # by name: importing MLflow takes seconds
        return int(getattr(error, "get_http_status_code", lambda: 0)()) in {429, 500, 502, 503, 504}
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, _NETWORK)


def transient(step: Task[Any, Any], run: Any, state: Any) -> bool:
    """Prefect's `retry_condition_fn`: try again after an error that may pass."""
    return isinstance(state.data, BaseException) and may_pass(state.data)


@overload
def live(step: Callable[P, R], /) -> Task[P, R]: ...


@overload
def live(*, task_run_name: str, retries: int = ...) -> Callable[[Callable[P, R]], Task[P, R]]: ...


def live(
    step: Callable[P, R] | None = None, /, *, task_run_name: str | None = None, retries: int = 3
) -> Task[P, R] | Callable[[Callable[P, R]], Task[P, R]]:
    """A task that reads or changes the live world: never cached, tried again when that is harmless.

    Use it only for a step that may run twice with the effect of one.
    """
    settings: dict[str, Any] = {
        "cache_policy": NO_CACHE,
        "retries": retries,
        "retry_delay_seconds": [2, 10, 30][:retries],
        "retry_condition_fn": transient,
        "task_run_name": task_run_name,
    }
    if step is not None:
        return task(step, **settings)
    return task(**settings)
