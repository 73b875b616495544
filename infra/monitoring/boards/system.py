"""Whether the servers are there, and what they take of their machines."""

from infra.monitoring.panels import CHOSEN, RATE, CloudWatchQuery, Panel, lines, of_cloudwatch, rate


def _of_machines(what: str, *metrics: str) -> Panel:
    return of_cloudwatch(
        f"{what} of the instances",
        "bytes",
        "Every EC2 instance of the account and region, a minute.",
        *(
            CloudWatchQuery(
                f"{metric} ${{PROP('Dim.InstanceId')}}",
                "AWS/EC2",
                metric,
                {"InstanceId": "*"},
                "Sum",
                60,
            )
            for metric in metrics
        ),
    )


PANELS = (
    lines(
        "Servers that answer",
        "short",
        "0 is down. Alert TargetDown: for 2 minutes.",
        ("{{classifier}} {{instance}}", f'up{{job="endpoint", {CHOSEN}}}'),
    ),
    lines(
        "Model processes",
        "short",
        "Processes that answer, and those started in place of one that had ended.",
        ("{{instance}}", f"mlops_model_processes{{{CHOSEN}}}"),
        (
            "{{instance}} replaced",
            f"increase(mlops_model_process_restarts_total{{{CHOSEN}}}{RATE})",
        ),
    ),
    lines(
        "CPU",
        "percent",
        "Of all cores a server may use. Target: below 70 %.",
        ("{{instance}}", f"mlops_cpu_usage_percent{{{CHOSEN}}}"),
        limit=70,
    ),
    lines(
        "Memory",
        "bytes",
        "Resident, of a server and its model processes.",
        ("{{instance}}", f"mlops_memory_usage_bytes{{{CHOSEN}}}"),
    ),
    lines(
        "Texts that wait, and texts in the model",
        "short",
        "A queue that stays is more work than the server can do.",
        ("{{instance}} waiting", f"mlops_queue_depth{{{CHOSEN}}}"),
        ("{{instance}} computing", f"mlops_in_flight{{{CHOSEN}}}"),
    ),
    lines(
        "Connections",
        "short",
        "Open ones, by what they wait for.",
        ("{{instance}} {{state}}", f"mlops_connections{{{CHOSEN}}}"),
    ),
    lines(
        "Prediction log",
        "cps",
        "Records a second. Alert PredictionsNotLogged: any that was dropped.",
        ("{{outcome}}", rate("mlops_capture_records_total", "outcome")),
        ("shipped", f"sum(rate(mlops_capture_shipped_records_total{{{CHOSEN}}}{RATE}))"),
    ),
    lines(
        "Age of the oldest record that is not shipped",
        "s",
        "Alert PredictionsNotShipped: above 10 minutes for 5 minutes.",
        ("{{instance}}", f"mlops_capture_oldest_seconds{{{CHOSEN}}}"),
        limit=600,
    ),
    _of_machines("Network", "NetworkIn", "NetworkOut"),
    _of_machines("Disk", "EBSReadBytes", "EBSWriteBytes"),
)
