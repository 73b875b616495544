"""How many ask, how long they wait, and what they hear."""

from infra.monitoring.panels import CHOSEN, RATE, lines, quantile, rate

_SECONDS = "mlops_prediction_duration_seconds"

PANELS = (
    lines(
        "Requests by outcome",
        "reqps",
        "Predictions only. Rejected is the caller's mistake, error is ours.",
        ("{{status}}", rate("mlops_prediction_requests_total", "status")),
    ),
    lines(
        "Share of errors",
        "percentunit",
        "By version, over five minutes. Alert HighErrorRate: above 5 % for 2 minutes.",
        (
            "{{classifier}} {{model_version}}",
            f"perennial:prediction_errors:ratio_rate5m{{{CHOSEN}}}",
        ),
        limit=0.05,
    ),
    lines(
        "Latency of all servers together",
        "s",
        "Targets: p50 0.1 s, p95 0.3 s, p99 0.5 s. Alert HighLatency: p99 above 0.5 s.",
        ("p50 {{model_version}}", quantile(0.5, _SECONDS, "model_version")),
        ("p95 {{model_version}}", quantile(0.95, _SECONDS, "model_version")),
        ("p99 {{model_version}}", quantile(0.99, _SECONDS, "model_version")),
        limit=0.5,
    ),
    lines(
        "Latency of each server's last 1,000 answers",
        "s",
        "Quantiles that a server has computed: they cannot be added up.",
        (
            "{{instance}} {{model_version}} p{{quantile}}",
            f"mlops_prediction_latency_seconds{{{CHOSEN}}}",
        ),
    ),
    lines(
        "Where the time goes (p95)",
        "s",
        "Waiting for the model, making tokens, computing.",
        ("{{stage}}", quantile(0.95, "mlops_stage_duration_seconds", "stage")),
    ),
    lines(
        "Answers that were no predictions",
        "reqps",
        "By error code, as the caller got it.",
        ("{{error}}", rate("mlops_requests_refused_total", "error")),
    ),
    lines(
        "Response time by path (p95)",
        "s",
        "Every route and every status.",
        ("{{path}}", quantile(0.95, "api_response_time_seconds", "path")),
    ),
    lines(
        "Answers that were known already",
        "percentunit",
        "Share of texts found in the cache.",
        (
            "{{classifier}}",
            f'sum by (classifier) (rate(mlops_cache_lookups_total{{{CHOSEN}, result="hit"}}'
            f"{RATE})) / {rate('mlops_cache_lookups_total', 'classifier')}",
        ),
    ),
)
