import random
from datetime import UTC, datetime
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


def test_a_series_has_its_own_points_alone_late_ones_and_none_that_were_forgotten():
    def point(at, value, name="Seconds", **dimensions):
        told = [{"Name": key, "Value": said} for key, said in dimensions.items()]
        moment = datetime.fromtimestamp(at, UTC)
        return SimpleNamespace(
            namespace="Own", name=name, dimensions=told, timestamp=moment, value=value
        )

    def sums():
        return metrics.series(backend, "Own", "Seconds", {"side": "new"}, "Sum", 60, 3, 1000.0)

    backend = SimpleNamespace(
        metric_data=[
            point(999, 1, side="new"),
            point(1130, 2, side="new"),
            point(1000, 4, side="new"),
            point(1010, 8, side="old"),
            point(1010, 16, name="Others", side="new"),
        ]
    )
    first = sums()
    backend.metric_data += [point(1059, 32, side="new"), point(1180, 64, side="new")]
    later = sums()
    backend.metric_data = backend.metric_data[1:2]

    assert (first, later, sums()) == ([4, None, 2], [36, None, 2], [None, None, 2])


def test_a_metric_is_listed_once_of_however_many_points(aws):
    cloudwatch = aws("cloudwatch")
    both = [{"Name": "Side", "Value": "new"}, {"Name": "Zone", "Value": "a"}]
    for dimensions in (both, both[:1], []):
        one = {"MetricName": "Listed", "Dimensions": dimensions, "Value": 1.0}
        cloudwatch.put_metric_data(Namespace="Listed", MetricData=[one] * 20)
        cloudwatch.put_metric_data(Namespace="Listed", MetricData=[{**one, "MetricName": "Other"}])

    def listed(**asked):
        found = cloudwatch.list_metrics(Namespace="Listed", MetricName="Listed", **asked)["Metrics"]
        return sorted([one["Value"] for one in metric["Dimensions"]] for metric in found)

    assert listed() == [[], ["new"], ["new", "a"]]
    assert listed(Dimensions=[{"Name": "Zone"}]) == [["new", "a"]]
    assert listed(Dimensions=[{"Name": "Side", "Value": "new"}]) == [["new"], ["new", "a"]]
    assert listed(Dimensions=[{"Name": "Side", "Value": "old"}]) == []
