"""What a board is made of: panels with a unit, queries with a legend, and who is asked."""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from grafana_foundation_sdk.builders import cloudwatch, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    GraphThresholdsStyleConfig,
    ReduceDataOptions,
    VizLegendOptions,
)
from grafana_foundation_sdk.models import cloudwatch as aws
from grafana_foundation_sdk.models.common import (
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${prometheus}")
CLOUDWATCH = DataSourceRef(type_val="cloudwatch", uid="${cloudwatch}")
# What the two selections at a board's top leave of the targets.
CHOSEN = 'environment=~"$environment", classifier=~"$classifier"'

Panel = timeseries.Panel | stat.Panel
# A legend and its PromQL expression.
Query = tuple[str, str]


class CloudWatchQuery(NamedTuple):
    """One metric of CloudWatch; a dimension may be `*`, for every value it has."""

    legend: str
    namespace: str
    metric: str
    dimensions: dict[str, str | list[str]]
    statistic: str = "Average"
    period_s: int = 300
    region: str = "default"


RATE = "[$__rate_interval]"


def rate(name: str, by: str) -> str:
    """A counter's growth a second, added up by these labels."""
    return f"sum by ({by}) (rate({name}{{{CHOSEN}}}{RATE}))"


def quantile(of: float, name: str, by: str) -> str:
    """A quantile of a histogram over all servers, by these labels."""
    rates = f"sum by (le, {by}) (rate({name}_bucket{{{CHOSEN}}}{RATE}))"
    return f"histogram_quantile({of}, {rates})"


def lines(
    title: str, unit: str, about: str, *queries: Query, limit: float | None = None, wide: int = 12
) -> Panel:
    """Curves over time; from `limit` on the background is red."""
    panel = _curves(title, unit, about, limit, wide).datasource(PROMETHEUS)
    for place, (legend, expression) in enumerate(queries):
        panel.with_target(
            prometheus.Dataquery()
            .expr(expression)
            .legend_format(legend)
            .ref_id(_letter(place))
            .range()
        )
    return panel


def figure(title: str, unit: str, about: str, expression: str) -> Panel:
    """One number, as it is now."""
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .datasource(PROMETHEUS)
        .span(6)
        .height(4)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(prometheus.Dataquery().expr(expression).ref_id("A").instant())
    )


def of_cloudwatch(
    title: str, unit: str, about: str, *queries: CloudWatchQuery, limit: float | None = None
) -> Panel:
    """Curves of what only CloudWatch knows."""
    panel = _curves(title, unit, about, limit, 12).datasource(CLOUDWATCH)
    for place, query in enumerate(queries):
        panel.with_target(
            cloudwatch.CloudWatchMetricsQuery()
            .query_mode(aws.CloudWatchQueryMode.METRICS)
            .metric_query_type(aws.MetricQueryType.SEARCH)
            .metric_editor_mode(aws.MetricEditorMode.BUILDER)
            .region(query.region)
            .namespace(query.namespace)
            .metric_name(query.metric)
            .dimensions(query.dimensions)
            .match_exact(True)
            .statistic(query.statistic)
            .period(str(query.period_s))
            .label(query.legend)
            .id(f"q{place}")
            .ref_id(_letter(place))
        )
    return panel


def board(
    uid: str, title: str, of: ModuleType, *extra: dashboard.TextBoxVariable
) -> dashboard.Dashboard:
    """A board of a module's PANELS, which asks at its top what is meant: sources and targets."""
    panels: Sequence[Panel] = of.PANELS
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description((of.__doc__ or "").strip())
        .tags(["perennial"])
        .time("now-6h", "now")
        .refresh("30s")
        .readonly()
        .with_variable(_source("prometheus", "Prometheus"))
        .with_variable(_source("cloudwatch", "CloudWatch"))
        .with_variable(_label("environment", "Environment"))
        .with_variable(_label("classifier", "Classifier"))
    )
    for variable in extra:
        made.with_variable(variable)
    for place, panel in enumerate(panels, 1):
        made.with_panel(panel.id(place))
    return made


def _curves(title: str, unit: str, about: str, limit: float | None, wide: int) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .span(wide)
        .height(8)
        .min(0)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    if limit is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=limit, color="red")]
        panel.thresholds(
            dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.AREA))
    return panel


def _source(kind: str, label: str) -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable(kind).label(label).type(kind)


def _label(name: str, label: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(f"label_values(mlops_model_weight, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .multi(True)
        .all_value(".*")
    )


def _letter(place: int) -> str:
    return chr(ord("A") + place)
