"""CloudWatch alarms: which are red, and since when."""

from typing import TYPE_CHECKING

from tasks.records import Alarm

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient


def red(cloudwatch: "CloudWatchClient", prefix: str) -> tuple[Alarm, ...]:
    """The alarms whose names begin with `prefix` and that are in ALARM, in the order of names."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"]
    )
    found = [one for page in pages for one in page["MetricAlarms"] if one["StateValue"] == "ALARM"]
    # The last update of a state may be a mere look that found it red still.
    since = [one.get("StateTransitionedTimestamp") or one["StateUpdatedTimestamp"] for one in found]
    red = [Alarm(one["AlarmName"], moment) for one, moment in zip(found, since, strict=True)]
    return tuple(sorted(red, key=lambda alarm: alarm.name))
