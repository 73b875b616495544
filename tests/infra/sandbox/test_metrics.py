import random
from types import SimpleNamespace

import pytest
from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends

from infra.sandbox import metrics, proxy
from infra.sandbox.world import ACCOUNT, REGION


def points(*values):
    return [SimpleNamespace(value=value) for value in values]


@pytest.mark.parametrize(
    ("stat", "told"),
    [
        *(("p0", 1), ("p50", 2), ("p75", 3), ("p99", 4), ("p100", 4), ("PR(:2)", 50)),
        *(("PR(2:)", 50), ("PR(1:3)", 50), ("PR(:0.5)", 0), ("PR(:9)", 100)),
        *(("Sum", 10), ("SampleCount", 4)),
    ],
)
def test_every_statistic_is_what_its_definition_says(stat, told):
    assert metrics.statistic(stat, points(3, 1, 4, 2)) == told


def test_a_point_that_stands_for_many_counts_as_many():
    many = MetricAggregatedDatum("n", "m", 5, 5, 99, 495, [], None)

    assert metrics.statistic("PR(:1)", [*points(1), many]) == 1
    assert metrics.statistic("p50", [*points(1), many]) == 5


def test_a_busy_and_a_quiet_moment_keep_their_shares_of_slow_requests():
    """20 slow ones among 2,000 requests are 1 percent, however the writes fell between them."""
    backend = cloudwatch_backends[ACCOUNT][REGION]
    meter, draw = proxy.Meter(), random.Random(0)
    for fast, slow in ((1970, 10), (0, 10), (10, 0)):
        times = [draw.uniform(0.01, 0.1) for _ in range(fast)] + [0.9] * slow
        for seconds in times:
            told = proxy.Told(200, [], b"", "a:targetgroup/g/1", target=True)
            meter.count("a:loadbalancer/app/b/1", told, seconds)
        meter.flush([])

    found = [one for one in backend.metric_data if one.name == "TargetResponseTime"]
    mine = [one for one in found if len(one.dimensions) == 2]

    assert metrics.statistic("SampleCount", mine) == 2000
    assert metrics.statistic("PR(:0.5)", mine) == 99
    assert metrics.statistic("p99", mine) < 0.2 < metrics.statistic("p99.5", mine)
