"""The fixture `plane`: SageMaker endpoints without processes, by the sandbox's own control plane.

It runs in this process. Its variants answer from memory, a change that takes minutes is done once
somebody has looked at it, and what CloudWatch counted is told by the test.
"""

import json
import threading
from collections.abc import Callable
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from plugins.rewinding import PutBack
from plugins.room import said, well
from plugins.sudden_death import Clock

_LATENCY = (10.0, 20.0, 30.0)
_APART = "-next"  # the endpoint on which a serverless version is tried


class Variant:
    """Stand in for the process of a variant: there as soon as it is asked for."""

    process, slow_ms, ready_s = None, 0, 0.0
    ports = count(1024)  # a URL does not tell the port 80

    def __init__(self, plane: "Plane", *named: Any, **more: Any) -> None:
        self.plane, (self.endpoint, self.variant, self.model, self.container) = plane, named
        self.folder, self.at_once, self.port = more["folder"], more["at_once"], next(self.ports)
        self.version = self.container["Environment"]["MODEL_VERSION"]
        plane.ports[self.port] = self
        # All callers of a serverless endpoint move to what is started there.
        self.moves_all = plane.target == "serverless" and not self.endpoint.endswith(_APART)

    def __deepcopy__(self, _: Any) -> "Variant":
        return self

    def prepare(self) -> None: ...

    def start(self) -> None:
        self.plane.done.append(("switch" if self.moves_all else "start", self.version))

    def wait_until_ready(self) -> None:
        from infra.sandbox.variants import NotHealthy

        if self.moves_all and self.version in self.plane.lost:
            raise NotHealthy(f"there is no room for version {self.version}")

    def retire(self) -> None: ...


class Plane:
    """The endpoint of one place: who runs, whom callers reach, what was started."""

    def __init__(self, target: str, fleets: Any, backend: Any, clock: Clock) -> None:
        from tasks import targets

        self.target, self.adapter = target, targets.TARGETS[target]
        self.fleets, self.backend, self.clock = fleets, backend, clock
        self.pending: list[tuple[Any, ...]] = []  # what AWS does meanwhile
        self.done: list[tuple[str, str]] = []
        self.down: set[str] = set()
        self.lost: set[str] = set()  # would not come up for callers if they were started now
        self.chokes: set[tuple[str, str]] = set()  # versions, and texts they have no answer to
        self.tried: set[str] = set()
        self.reached: set[str] = set()
        self.promised = False  # callers have been answered by a champion
        self.answered: Any = well
        self.ports: dict[int, Variant] = {}
        self.lock = threading.Lock()

    def later(self, work: Callable[..., None], first: Any, *rest: Any) -> None:
        """The work of a thread of the sandbox, by names: it may be put back before it is done."""
        self.pending.append((work.__name__, getattr(first, "endpoint_name", first), *rest))

    def delete(self, name: str) -> None:
        """As on AWS, and unlike in the sandbox, it takes its time to go."""
        self.backend.endpoints[name].endpoint_status = "Deleting"

    def settle(self) -> None:
        with self.lock:
            while self.pending:
                work, name, *rest = self.pending.pop(0)
                if work == "remove":
                    del self.backend.endpoints[name]
                first = name if work == "remove" else self.backend.endpoints[name]
                getattr(self.fleets, work)(first, *rest)

    def weights(self) -> dict[str, float]:
        """Percent of the callers that each version gets."""
        told: dict[str, float] = {}
        public = (one for name, one in self.fleets.routes.items() if not name.endswith(_APART))
        for share, fleet in (one for routes in public for one in routes):
            total = sum(variant["CurrentWeight"] for variant in fleet.variants)
            for variant in fleet.variants:
                version = fleet.servers[variant["VariantName"]].version
                mine = 100 * share * variant["CurrentWeight"] / total if total else 0.0
                told[version] = told.get(version, 0.0) + mine
        return told

    @property
    def public(self) -> str:
        """The version that all callers reach."""
        return next((version for version, share in self.weights().items() if share == 100), "")

    @property
    def share(self) -> int:
        return 0 if self.public or not self.weights() else 50

    @property
    def running(self) -> list[str]:
        for name, endpoint in self.backend.endpoints.items():
            assert [fleet.config for _, fleet in self.fleets.routes[name]] == [
                endpoint.endpoint_config_name
            ]
        return [version for name in self.fleets.routes for version in self.on(name)]

    def on(self, endpoint: str) -> list[str]:
        """The versions that run there."""
        fleets = [fleet for _, fleet in self.fleets.routes.get(endpoint, ())]
        return [server.version for fleet in fleets for server in fleet.servers.values()]

    def check(self) -> None:
        """Once there was a champion, somebody answers; and nobody reaches the untried."""
        weights = self.weights()
        callers = {version for version, share in weights.items() if share}
        assert callers - self.down or not self.promised, f"callers reach {callers or 'nobody'}"
        alone = self.target == "sagemaker" and len(weights) == 1
        assert alone or callers <= self.reached | self.tried, f"{callers} untried"
        self.reached = callers

    def serve(self, served: Any) -> None:
        """All callers have it, and nothing else runs."""
        from tasks import targets
        from tasks.adapters import aws
        from tasks.classifiers import load
        from tasks.settings import Settings

        settings = Settings()
        place = targets.place_of(settings, load("news", settings.classifiers_dir), self.target)
        self.tried.add(served.version)
        for step in (self.adapter.prepare, self.adapter.stage):
            step(aws.client, place, served, "a test")
        self.adapter.shift(aws.client, place, served, "a test", 100)
        self.adapter.retire(aws.client, place, served, "a test")
        self.done.clear()
        self.promised = True

    def keep(self) -> PutBack:
        alive = deepcopy((self.backend.endpoints, self.fleets.routes, self.pending))
        kept = [(one, one.copy()) for one in (self.backend.endpoint_configs, self.backend._models)]
        kept += [(one, one.copy()) for one in (self.down, self.lost, self.tried, self.reached)]
        done, answered, chokes = len(self.done), self.answered, self.chokes

        def put_back() -> None:
            self.backend.endpoints, self.fleets.routes, self.pending = alive
            for one, before in kept:
                one.clear()
                one.update(before)
            del self.done[done:]
            self.answered, self.chokes = answered, chokes

        return put_back

    def arms(self, _: Any, __: Any, sides: list[tuple[str, Any]], *___: Any) -> list[Any]:
        """What CloudWatch counted of the two sides."""
        from tasks.records import Arm

        counted = self.answered(round(self.weights()[sides[0][0]]))
        told = zip(sides, counted, strict=False)
        return [Arm(version, *numbers, *_LATENCY) for (version, _), numbers in told]

    def answer(self, request: Any) -> Any:
        """What the variant behind a port says."""
        import httpx

        variant = self.ports[request.url.port]
        asked = json.loads(request.content)
        if variant.version in self.down or (variant.version, asked.get("text")) in self.chokes:
            return httpx.Response(500, text="the model broke")
        return httpx.Response(200, text=said(variant.version, asked))


class _NoHurry:
    """Stand in for the event that ends the sandbox: it never comes, and nobody waits for it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def is_set(self) -> bool:
        return False

    def wait(self, seconds: float) -> bool:
        self.clock.seconds += seconds
        return False


@pytest.fixture
def plane(
    request: pytest.FixtureRequest, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Plane:
    """In the place of SageMaker; whatever counts requests has to come after it.

    Its parameter is the target, `sagemaker` where there is none.
    """
    import httpx
    from botocore.httpsession import URLLib3Session
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.sagemaker import urls
    from moto.sagemaker.models import FakeEndpointConfig
    from moto.sagemakerruntime import urls as runtime_urls
    from werkzeug.test import Client

    from infra.sandbox import endpoints, extension, fleets, runtime
    from infra.sandbox.world import World
    from tasks import smoke
    from tasks.adapters import traffic

    check = FakeEndpointConfig.validate_instance_type
    monkeypatch.setattr(FakeEndpointConfig, "validate_instance_type", check)
    monkeypatch.setattr(urls, "url_paths", dict(urls.url_paths))
    monkeypatch.setattr(runtime_urls, "url_paths", dict(runtime_urls.url_paths))
    world = World(tmp_path / "plane")
    world.stopping = _NoHurry(clock)  # type: ignore[assignment]
    endpoints.install(world)
    backend = extension.sagemaker()
    backend.reset()
    target = getattr(request, "param", "sagemaker")
    made = Plane(target, endpoints.EndpointActions.fleets, backend, clock)
    monkeypatch.setattr(endpoints, "_in_background", made.later)
    monkeypatch.setattr(backend, "delete_endpoint", made.delete)
    monkeypatch.setattr(fleets, "Server", lambda _, *told, **more: Variant(made, *told, **more))
    monkeypatch.setattr(fleets, "time", clock)
    monkeypatch.setattr(runtime, "record", lambda *_: None)
    monkeypatch.setattr(traffic, "arms", made.arms)
    for name, few in (("_GOLDEN", 4), ("_BOTH_WAYS", 1), ("_BURST", 5)):
        monkeypatch.setattr(smoke, name, few)
    behind = runtime_urls.url_paths[runtime._PATH].__self__
    behind.client = httpx.Client(transport=httpx.MockTransport(made.answer))
    sandbox, to_aws = Client(DomainDispatcherApplication(create_backend_app)), URLLib3Session.send

    def send(session: Any, request: Any) -> Any:
        if "/sagemaker/" not in _text(request.headers.get("Authorization", "")):
            return to_aws(session, request)
        return _asked(made, sandbox, request)

    monkeypatch.setattr(URLLib3Session, "send", send)
    return made


def _asked(plane: Plane, sandbox: Any, request: Any) -> Any:
    from botocore.awsrequest import AWSResponse
    from moto.core.botocore_stubber import MockRawResponse

    headers = {name: _text(told) for name, told in request.headers.items()}
    path = urlsplit(request.url).path
    told = sandbox.open(path, method=request.method, headers=headers, data=request.body)
    action = headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
    if action == "DescribeEndpoint":
        plane.settle()
    if variant := headers.get("X-Amzn-SageMaker-Target-Variant"):
        plane.tried.add(variant.removeprefix("v"))
    elif (endpoint := path.removesuffix("/invocations").rsplit("/", 1)[-1]).endswith(_APART):
        plane.tried.update(plane.on(endpoint))
    else:
        plane.check()
    return AWSResponse(request.url, told.status_code, told.headers, MockRawResponse(told.data))


def _text(told: str | bytes) -> str:
    return told.decode() if isinstance(told, bytes) else str(told)
