"""InvokeEndpoint: the request goes to a variant's process, and CloudWatch hears about it."""

import json
import random
import time
from typing import Any

import httpx
from moto.cloudwatch.models import cloudwatch_backends
from moto.sagemakerruntime import urls

from infra.sandbox.extension import sagemaker
from infra.sandbox.fleets import Fleets
from infra.sandbox.variants import Server
from infra.sandbox.world import ACCOUNT, REGION

_PATH = "{0}/endpoints/(?P<name>[^/]+)/invocations$"
_TIMEOUT_S = 60
_PASSED_ON = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
Answer = tuple[int, dict[str, str], bytes]


class Refused(Exception):
    """The request reaches no model."""


class Runtime:
    """The handler of POST /endpoints/{name}/invocations."""

    def __init__(self, fleets: Fleets) -> None:
        self.fleets = fleets
        # uvicorn ends an idle connection after 5 s: one that is older may close under a request.
        limits = httpx.Limits(keepalive_expiry=2)
        self.client = httpx.Client(timeout=_TIMEOUT_S, limits=limits, trust_env=False)

    def invoke(self, request: Any, full_url: str, headers: Any) -> Answer:
        name = request.path.split("/")[2]
        asked, answering = self.fleets.asked, self.fleets.answering
        try:
            with asked:
                server = self.choose(name, request.headers.get("X-Amzn-SageMaker-Target-Variant"))
                if server.at_once and answering[server] >= server.at_once:
                    return _error(400, "ThrottlingException", {"message": None})
                answering[server] += 1
        except Refused as refusal:
            return _error(400, "ValidationError", {"Message": str(refusal)})
        try:
            return self.pass_on(request, name, server)
        finally:
            with asked:
                answering[server] -= 1
                if not answering[server]:
                    del answering[server]
                asked.notify_all()

    def pass_on(self, request: Any, name: str, server: Server) -> Answer:
        """The server's answer, counted."""
        passed = {h: request.headers[h] for h in _PASSED_ON if h in request.headers}
        started = time.perf_counter()
        try:
            time.sleep(server.slow_ms / 1000)
            answer = self.client.post(
                f"http://127.0.0.1:{server.port}/invocations", content=request.data, headers=passed
            )
            status, content = answer.status_code, answer.content
            mime = answer.headers.get("Content-Type", "application/octet-stream")
            custom = answer.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        except httpx.HTTPError as problem:
            status, content, mime, custom = 500, repr(problem).encode(), "text/plain", None
        record(name, server.variant, status, time.perf_counter() - started)
        if status >= 400:
            return _model_error(name, status, content)
        answered = {"Content-Type": mime, "x-Amzn-Invoked-Production-Variant": server.variant}
        if custom:
            answered["X-Amzn-SageMaker-Custom-Attributes"] = custom
        return 200, answered, content

    def choose(self, name: str, target: str | None) -> Server:
        """The variant asked for, or one by the weights."""
        endpoint: Any = sagemaker().endpoints.get(name)
        if endpoint is None:
            raise Refused(f"Endpoint {name} of account {ACCOUNT} not found.")
        routes = self.fleets.routes.get(name)
        if not routes or endpoint.endpoint_status not in ("InService", "Updating"):
            raise Refused(
                f"Endpoint {name} of account {ACCOUNT} is in status {endpoint.endpoint_status}"
                " and can not be invoked."
            )
        fleet = random.choices([f for _, f in routes], [share for share, _ in routes])[0]
        weights = {v["VariantName"]: v["CurrentWeight"] for v in fleet.variants}
        if target is not None:
            if target not in weights:
                raise Refused(f"Variant {target} was not found on endpoint {name}.")
            return fleet.servers[target]
        if not any(weights.values()):
            raise Refused(f"All variants of endpoint {name} have weight 0.")
        return fleet.servers[random.choices(list(weights), list(weights.values()))[0]]


def record(endpoint: str, variant: str, status: int, seconds: float) -> None:
    """The metrics of one invocation."""
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint},
        {"Name": "VariantName", "Value": variant},
    ]
    values = {
        "Invocations": (1, "Count"),
        "ModelLatency": (seconds * 1e6, "Microseconds"),
        "Invocation4XXErrors": (int(400 <= status < 500), "Count"),
        "Invocation5XXErrors": (int(status >= 500), "Count"),
    }
    data = [
        {"MetricName": metric, "Dimensions": dimensions, "Value": value, "Unit": unit}
        for metric, (value, unit) in values.items()
    ]
    cloudwatch_backends[ACCOUNT][REGION].put_metric_data("AWS/SageMaker", data)


def _model_error(name: str, status: int, content: bytes) -> Answer:
    text = content.decode(errors="replace")[:4096]
    kind = "client" if status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    return _error(
        424,
        "ModelError",
        {
            "ErrorCode": f"{kind.upper()}_ERROR_FROM_MODEL",
            "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}",
            "Message": f'Received {kind} error ({status}) from primary with message "{text}".'
            f" See {group} in account {ACCOUNT} for more information.",
            "OriginalMessage": text,
            "OriginalStatusCode": status,
        },
    )


def _error(status: int, kind: str, body: dict[str, Any]) -> Answer:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": kind}
    return status, headers, json.dumps(body).encode()


def install(fleets: Fleets) -> None:
    urls.url_paths[_PATH] = Runtime(fleets).invoke
