"""What GET /metrics tells, under the names that the dashboards and alerts know."""

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

_WINDOW = 1000
_QUANTILES = (0.5, 0.95, 0.99)
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OUTCOMES = ("success", "rejected", "error")
STAGES = ("queue", "tokenize", "infer")

# Labels and their value, as often as a name has label values.
Readings = Iterable[tuple[Mapping[str, str], float]]


class Recent:
    """Count and sum of all values, and quantiles of the last thousand."""

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=_WINDOW)
        self._count = 0
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._window.append(value)
        self._count += 1
        self._sum += value

    def into(self, metric: Metric, labels: dict[str, str]) -> None:
        ranked = sorted(self._window)
        for quantile in _QUANTILES if ranked else ():
            value = ranked[min(len(ranked) - 1, int(quantile * len(ranked)))]
            metric.add_sample(metric.name, {**labels, "quantile": str(quantile)}, value)
        metric.add_sample(f"{metric.name}_count", labels, self._count)
        metric.add_sample(f"{metric.name}_sum", labels, self._sum)


class Buckets:
    """A histogram; unlike quantiles, those of several hosts can be added up."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._sum += seconds

    def into(self, metric: HistogramMetricFamily, labels: list[str]) -> None:
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        metric.add_metric(labels, buckets, self._sum)


class OfVersion:
    """What is counted for one model version."""

    def __init__(self) -> None:
        self.requests = dict.fromkeys(_OUTCOMES, 0)
        self.latency = Recent()
        self.seconds = Buckets()
        self.confidence = Recent()
        self.stages = {stage: Buckets() for stage in STAGES}


class Metrics(Collector):
    """The endpoint's numbers; one object per server, used from its event loop only.

    Plain integers, put into Prometheus' form when somebody asks: counting costs a request about
    two microseconds, prometheus_client's own counters would cost ten.
    """

    def __init__(self) -> None:
        self._versions: dict[str, OfVersion] = {}
        self._refused: Counter[str] = Counter()
        self._answers: defaultdict[str, Buckets] = defaultdict(Buckets)
        self._calls: Counter[tuple[str, str]] = Counter()
        self._read: list[tuple[str, str, str, Callable[[], Readings]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def version(self, name: str) -> OfVersion:
        """The numbers of a version, all of them zero when it is new."""
        try:
            return self._versions[name]
        except KeyError:
            return self._versions.setdefault(name, OfVersion())

    def answered(self, name: str, status: int, seconds: float, stages: Mapping[str, float]) -> None:
        """Count one prediction request by its HTTP status."""
        numbers = self.version(name)
        outcome = "success" if status < 400 else "rejected" if status < 500 else "error"
        numbers.requests[outcome] += 1
        if outcome == "success":
            numbers.latency.add(seconds)
            numbers.seconds.add(seconds)
        for stage, took in stages.items():
            numbers.stages[stage].add(took)

    def confident(self, name: str, confidence: float) -> None:
        """Note how sure the model was of one answer."""
        self.version(name).confidence.add(confidence)

    def responded(self, path: str, seconds: float, caller: str) -> None:
        """Note an answer of any kind; `path` is a route, `caller` a key's name or a class."""
        self._answers[path].add(seconds)
        if caller:
            self._calls[caller, path] += 1

    def refused(self, reason: str) -> None:
        """Count a request that was not answered, by the error code its caller got."""
        self._refused[reason] += 1

    def gauge(self, name: str, about: str, read: Callable[[], Readings]) -> None:
        """Tell what `read` returns at the time of asking."""
        self._read.append(("gauge", name, about, read))

    def counter(self, name: str, about: str, read: Callable[[], Readings]) -> None:
        """Like `gauge`, for a number that only grows; `name` is without `_total`."""
        self._read.append(("counter", name, about, read))

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        return ()  # asked at registration, when nothing can be read yet

    def collect(self) -> Iterable[Metric]:
        yield from self._requests()
        yield from self._responses()
        refused = CounterMetricFamily(
            "mlops_requests_refused", "Requests not answered, by error code", labels=["error"]
        )
        for error, count in self._refused.items():
            refused.add_metric([error], count)
        yield refused
        for kind, name, about, read in self._read:
            metric = Metric(name, about, kind)
            suffix = "_total" if kind == "counter" else ""
            for labels, value in read():
                metric.add_sample(name + suffix, dict(labels), value)
            yield metric

    def _responses(self) -> Iterable[Metric]:
        times = HistogramMetricFamily(
            "api_response_time_seconds", "From request to answer, whatever it said", labels=["path"]
        )
        for path, buckets in self._answers.items():
            buckets.into(times, [path])
        calls = CounterMetricFamily(
            "api_requests", "Requests by the name of the caller's key", labels=["caller", "path"]
        )
        for key, count in self._calls.items():
            calls.add_metric(key, count)
        return times, calls

    def _requests(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "mlops_prediction_requests",
            "Prediction requests; status is success, rejected (4xx) or error (5xx)",
            labels=["model_version", "status"],
        )
        latency = Metric(
            "mlops_prediction_latency_seconds",
            "From request to answer, of the last 1000 successes; to add hosts up take"
            " mlops_prediction_duration_seconds",
            "summary",
        )
        confidence = Metric(
            "mlops_model_confidence", "Probability of the predicted label", "summary"
        )
        duration = HistogramMetricFamily(
            "mlops_prediction_duration_seconds",
            "From request to answer, of all successes",
            labels=["model_version"],
        )
        stage = HistogramMetricFamily(
            "mlops_stage_duration_seconds",
            "Where the time of a prediction went",
            labels=["model_version", "stage"],
        )
        for name, numbers in self._versions.items():
            for outcome, count in numbers.requests.items():
                requests.add_metric([name, outcome], count)
            numbers.latency.into(latency, {"model_version": name})
            numbers.confidence.into(confidence, {"model_version": name})
            numbers.seconds.into(duration, [name])
            for which, buckets in numbers.stages.items():
                buckets.into(stage, [name, which])
        return requests, latency, confidence, duration, stage
