import time

import psutil
import pytest
from plugins.promtool import samples

from serving.metrics import Metrics
from serving.resources import Resources


@pytest.fixture
def metrics():
    return Metrics()


def text_of(metrics: Metrics) -> str:
    return metrics.text().decode()


def test_outcomes_are_told_apart(metrics):
    for status in (200, 200, 422, 429, 500, 503):
        metrics.answered("v1", status, 0.1, {})

    counted = samples(text_of(metrics), "mlops_prediction_requests_total")

    assert counted == {("v1", "success"): 2, ("v1", "rejected"): 2, ("v1", "error"): 2}


def test_only_successes_have_a_latency(metrics):
    metrics.answered("v1", 200, 0.2, {})
    metrics.answered("v1", 503, 9.0, {})

    latency = samples(text_of(metrics), "mlops_prediction_latency_seconds")

    assert latency == {("v1", "0.5"): 0.2, ("v1", "0.95"): 0.2, ("v1", "0.99"): 0.2}


def test_quantiles_are_of_the_last_thousand_and_sums_of_all(metrics):
    for number in range(3000):
        metrics.answered("v1", 200, 1.0 if number < 2000 else number / 1000 - 2, {})

    text = text_of(metrics)

    latency = samples(text, "mlops_prediction_latency_seconds")
    assert latency["v1", "0.5"] == pytest.approx(0.5, abs=0.01)
    assert latency["v1", "0.99"] == pytest.approx(0.99, abs=0.01)
    assert samples(text, "mlops_prediction_latency_seconds_count") == {("v1",): 3000}


def test_histograms_of_several_hosts_can_be_added_up(metrics):
    for seconds in (0.004, 0.2, 0.3, 99):
        metrics.answered("v1", 200, seconds, {"infer": seconds})

    text = text_of(metrics)

    buckets = samples(text, "mlops_prediction_duration_seconds_bucket")
    assert buckets["0.005", "v1"] == 1
    assert buckets["0.3", "v1"] == 3
    assert buckets["30.0", "v1"] == 3
    assert buckets["+Inf", "v1"] == 4
    assert samples(text, "mlops_stage_duration_seconds_count")["v1", "infer"] == 4


def test_every_answer_has_a_response_time_and_a_caller_when_one_is_known(metrics):
    metrics.responded("/predict", 0.02, "alice")
    metrics.responded("/predict", 0.4, "stranger")
    metrics.responded("/health", 0.001, "")

    text = text_of(metrics)

    assert samples(text, "api_response_time_seconds_count") == {("/predict",): 2, ("/health",): 1}
    assert samples(text, "api_response_time_seconds_bucket")["0.025", "/predict"] == 1
    assert samples(text, "api_requests_total") == {
        ("alice", "/predict"): 1,
        ("stranger", "/predict"): 1,
    }


def test_versions_stand_beside_each_other(metrics):
    metrics.version("v2")
    metrics.answered("v1", 200, 0.1, {})
    metrics.confident("v1", 0.9)

    text = text_of(metrics)

    assert samples(text, "mlops_prediction_requests_total")["v2", "success"] == 0
    assert samples(text, "mlops_model_confidence")["v1", "0.5"] == 0.9


def test_what_is_read_is_read_when_asked(metrics):
    depth = [3]
    metrics.gauge("mlops_queue_depth", "", lambda: [({"model_version": "v1"}, depth[0])])

    depth[0] = 7

    assert samples(text_of(metrics), "mlops_queue_depth") == {("v1",): 7}


def test_a_process_that_has_ended_is_no_longer_counted():
    child = psutil.Popen(["sleep", "60"])
    resources = Resources(lambda: [child.pid])
    with_child = resources.memory_bytes()

    child.kill()
    child.wait()

    assert resources.memory_bytes() < with_child
    time.sleep(0.2)
    assert resources.cpu_percent() >= 0
