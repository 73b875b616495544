"""CloudWatch metrics of our own."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef


def put(
    cloudwatch: "CloudWatchClient",
    namespace: str,
    values: Mapping[str, float],
    dimensions: Mapping[str, str],
    at: datetime,
) -> None:
    """One point of each metric. CloudWatch refuses points that are older than two weeks."""
    where: list[DimensionTypeDef] = [
        {"Name": name, "Value": value} for name, value in dimensions.items()
    ]
    cloudwatch.put_metric_data(
        Namespace=namespace,
        MetricData=[
            {"MetricName": name, "Value": value, "Dimensions": where, "Timestamp": at}
            for name, value in values.items()
        ],
    )
