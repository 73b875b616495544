"""Requests to a SageMaker endpoint, told back with who answered."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from threading import BoundedSemaphore
from typing import Any, Self

from botocore.exceptions import ClientError

from tasks.adapters import probes, updates
from tasks.records import Answer, Place, Served

Clients = Callable[[str], Any]

# No header of ours gets through to the container but this one: see probes.
_MARKED = "X-Probe=rollout"
# What the endpoint says about itself; everything else is an error of ours or of AWS.
_ANSWERS = frozenset(
    {"ModelError", "ValidationError", "ServiceUnavailable", "ModelNotReadyException"}
)


def invoke(
    client: Clients,
    place: Place,
    payload: dict[str, str],
    variant: str = "",
    identity: Callable[[str], tuple[str, str]] | None = None,
) -> Answer:
    """One request, to one variant where that is named; status 0 when nobody is there.

    The container's headers do not come through, so who answered is told by AWS and the body.
    """
    target = {"TargetVariant": variant} if variant else {}
    runtime = client("sagemaker-runtime")
    began = time.perf_counter()
    try:
        found = runtime.invoke_endpoint(
            EndpointName=place.endpoint,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps(payload).encode(),
            CustomAttributes=_MARKED,
            **target,
        )
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ANSWERS:
            raise
        status = int(str(error.response.get("OriginalStatusCode", 0)))
        return Answer(status, error.response["Error"]["Message"], "", "")
    body = found["Body"].read().decode()
    seconds = time.perf_counter() - began
    variant = found.get("InvokedProductionVariant", "")
    identify = identity or partial(updates.identity, client("sagemaker"), place)
    version, digest = identify(variant)
    said = json.loads(body)
    if "text" in payload and said.get("model_version") != version:
        version = f"{said.get('model_version')} as {variant}"
    return Answer(200, body, version, digest, seconds)


def prove(
    client: Clients,
    place: Place,
    wanted: Served,
    ask_once: Callable[[], Answer],
    timeout_s: float,
) -> str:
    """What answers is the version and the bundle asked for, or DeployFailed."""
    probes.steady(ask_once, wanted, timeout_s)
    config = updates.there(client("sagemaker"), place)["EndpointConfigName"]
    return f"{place.endpoint} answers as version {wanted.version} from config {config}"


class Session:
    """Clients are made and the variant is looked up once, or every request would take six calls.

    variant: empty, whichever answers; None, nobody is there. at_once: more requests at a time than
    this wait here, as AWS refuses them on a serverless endpoint; 0: as many as are asked.
    """

    def __init__(
        self, client: Clients, place: Place, variant: str | None, at_once: int = 0
    ) -> None:
        self._client, self._place, self._variant = cache(client), place, variant
        self._identity = cache(partial(updates.identity, self._client("sagemaker"), place))
        self._slots: AbstractContextManager[Any] = (
            BoundedSemaphore(at_once) if at_once else nullcontext()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, payload: dict[str, str]) -> Answer:
        if self._variant is None:
            return Answer(0, f"nobody is there on {self._place.endpoint}", "", "")
        with self._slots:
            return invoke(self._client, self._place, payload, self._variant, self._identity)

    def usage(self) -> None:
        """CloudWatch knows, minutes later: no use before callers come."""
