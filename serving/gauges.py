"""What GET /metrics reads at the moment it is asked."""

from collections.abc import Callable, Iterable
from functools import partial

from serving import logs, shipper
from serving.cache import Cache
from serving.capture import Capture
from serving.connections import Connections
from serving.feedback import Recent
from serving.metrics import Metrics, Readings
from serving.pool import Pool
from serving.resources import Resources
from training.capture import KINDS
from training.formats import BundleManifest

# Name, manifest and processes of each version that is loaded.
Loaded = Callable[[], Iterable[tuple[str, BundleManifest, Pool]]]


def add(metrics: Metrics, loaded: Loaded, connections: Connections, recent: Recent) -> None:
    """Let the metrics tell of the versions, their processes and the connections."""
    _add_versions(metrics, loaded)
    _add_accuracy(metrics, loaded, recent)
    _add_resources(metrics, loaded)
    metrics.gauge(
        "mlops_connections",
        "Open connections by what they wait for; `answer` is for the model",
        lambda: _connections(connections),
    )
    metrics.counter(
        "mlops_connections_closed",
        "Connections that the server ended, by what they waited for or did wrong",
        lambda: [({"reason": reason}, n) for reason, n in list(connections.closed.items())],
    )
    metrics.counter(
        "mlops_log_lines_lost",
        "Log lines that standard output did not take",
        lambda: [({}, sink.lost)] if (sink := logs.sink()) else [],
    )


def add_cache(metrics: Metrics, cache: Cache) -> None:
    """Let the metrics tell how often an answer was known already."""
    metrics.counter(
        "mlops_cache_lookups",
        "Texts looked up among the known answers, by result",
        lambda: [({"result": "hit"}, cache.hits), ({"result": "miss"}, cache.misses)],
    )


def add_capture(metrics: Metrics, capture: Capture) -> None:
    """Let the metrics tell what became of the answers that were to be logged."""
    spool = capture.spool

    def records() -> Readings:
        yield {"kind": "prediction", "outcome": "sampled_out"}, capture.sampled_out
        for kind in KINDS:
            yield {"kind": kind, "outcome": "logged"}, spool.logged[kind]
            yield {"kind": kind, "outcome": "dropped"}, spool.dropped[kind]

    def shipped(name: str) -> Readings:
        yield {}, shipper.totals(spool.folder).get(name, 0)

    metrics.counter(
        "mlops_capture_records",
        "Answered texts and labels; dropped: the spool or its disk was full",
        records,
    )
    metrics.gauge(
        "mlops_capture_spool_bytes", "That wait to be shipped", lambda: [({}, spool.size)]
    )
    metrics.gauge(
        "mlops_capture_spool_files", "That wait to be shipped", lambda: [({}, spool.files)]
    )
    metrics.gauge(
        "mlops_capture_oldest_seconds",
        "Age of the oldest record that is not shipped",
        lambda: [({}, spool.oldest_s)],
    )
    for name, about in {
        "shipped_records": "Records that are in S3",
        "shipped_files": "Files of the spool that are in S3",
        "torn_lines": "Lines that are no rows: a crash cut them off before their answer",
        "ship_errors": "Tries to ship that S3 did not take",
    }.items():
        metrics.counter(f"mlops_capture_{name}", about, partial(shipped, name))
    metrics.counter(
        "mlops_capture_shipper_restarts",
        "Shippers started in place of one that had ended",
        lambda: [({}, capture.restarts)],
    )


def _add_versions(metrics: Metrics, loaded: Loaded) -> None:
    def of_pools(read: Callable[[Pool], float]) -> Callable[[], Readings]:
        return lambda: [({"model_version": name}, read(pool)) for name, _, pool in loaded()]

    metrics.gauge(
        "mlops_queue_depth", "Texts that wait for the model", of_pools(lambda p: p.queued)
    )
    metrics.gauge(
        "mlops_in_flight", "Texts that the model's processes hold", of_pools(lambda p: p.in_flight)
    )
    metrics.gauge(
        "mlops_model_processes", "Model processes that answer", of_pools(lambda p: p.alive)
    )
    metrics.counter(
        "mlops_model_process_restarts",
        "Model processes started in place of one that had ended",
        of_pools(lambda p: p.restarts),
    )


def _add_accuracy(metrics: Metrics, loaded: Loaded, recent: Recent) -> None:
    def accuracy() -> Readings:
        for name, manifest, _ in loaded():
            value = recent.accuracy(name)
            value = manifest.metrics.get("accuracy") if value is None else value
            if value is not None:
                yield {"model_version": name}, value

    metrics.gauge(
        "mlops_model_accuracy",
        "Of this server's latest answers by their labels, once 30 are labelled; until then of the"
        " validation rows of its training",
        accuracy,
    )
    metrics.gauge(
        "mlops_feedback_labels",
        "Labelled ones among this server's latest answers; under 30 no accuracy is told from them",
        lambda: [({"model_version": name}, recent.labels(name)) for name, _, _ in loaded()],
    )


def _add_resources(metrics: Metrics, loaded: Loaded) -> None:
    resources = Resources(lambda: (pid for _, _, pool in loaded() for pid in pool.pids))
    metrics.gauge(
        "mlops_cpu_usage_percent",
        "Of all cores the server may use, by all its processes, since this was last asked",
        lambda: [({}, resources.cpu_percent())],
    )
    metrics.gauge(
        "mlops_memory_usage_bytes",
        "Resident memory of all its processes; what they share is counted for each",
        lambda: [({}, resources.memory_bytes())],
    )


def _connections(connections: Connections) -> Readings:
    waiting = dict(connections.waiting())
    yield {"state": "answer"}, connections.open - sum(waiting.values())
    for phase, count in waiting.items():
        yield {"state": phase}, count
