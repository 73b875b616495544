"""What GET /metrics tells, under the names that the dashboards and alerts know."""

from collections import deque
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_WINDOW = 1000
_QUANTILES = (0.5, 0.95, 0.99)


class Recent(Collector):
    """A summary whose quantiles are those of the last thousand values."""

    def __init__(self, name: str, about: str, model_version: str) -> None:
        self._name = name
        self._about = about
        self._labels = {"model_version": model_version}
        self._window: deque[float] = deque(maxlen=_WINDOW)
        self._count = 0
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._window.append(value)
        self._count += 1
        self._sum += value

    def collect(self) -> Iterable[Metric]:
        metric = Metric(self._name, self._about, "summary")
        ranked = sorted(self._window)
        for quantile in _QUANTILES if ranked else ():
            value = ranked[min(len(ranked) - 1, int(quantile * len(ranked)))]
            metric.add_sample(self._name, {**self._labels, "quantile": str(quantile)}, value)
        metric.add_sample(f"{self._name}_count", self._labels, self._count)
        metric.add_sample(f"{self._name}_sum", self._labels, self._sum)
        return [metric]


class Metrics:
    """The endpoint's numbers; one object per server."""

    def __init__(self, model_version: str) -> None:
        self._version = model_version
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mlops_prediction_requests",
            "Prediction requests; status is success, rejected (4xx) or error (5xx)",
            ["model_version", "status"],
            registry=self._registry,
        )
        for status in ("success", "rejected", "error"):
            self._requests.labels(model_version, status)
        self._latency = Recent(
            "mlops_prediction_latency_seconds", "From request to answer", model_version
        )
        self.confidence = Recent(
            "mlops_model_confidence", "Probability of the predicted label", model_version
        )
        for recent in (self._latency, self.confidence):
            self._registry.register(recent)

    def answered(self, status: int, seconds: float) -> None:
        """Count one prediction request by its HTTP status."""
        outcome = "success" if status < 400 else "rejected" if status < 500 else "error"
        self._requests.labels(self._version, outcome).inc()
        if outcome == "success":
            self._latency.add(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
