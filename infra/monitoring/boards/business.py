"""Who uses it, how much, and what that costs."""

from infra.monitoring.panels import (
    CHOSEN,
    RATE,
    CloudWatchQuery,
    figure,
    lines,
    of_cloudwatch,
    rate,
)

_ANSWERED = f'mlops_prediction_requests_total{{{CHOSEN}, status="success"}}'
_NAMED = f'api_requests_total{{{CHOSEN}, caller!~"anonymous|stranger|operator"}}'
_LABELS = f'mlops_capture_records_total{{{CHOSEN}, kind="feedback", outcome="logged"}}'
_ASKED = f'{{{CHOSEN}, path!~"/health.*|/ping|/metrics"}}{RATE}'

PANELS = (
    figure(
        "Predictions in 24 hours",
        "short",
        "Requests that were answered with a prediction.",
        f"sum(increase({_ANSWERED}[1d]))",
    ),
    figure(
        "Active callers in 24 hours",
        "short",
        "Names of keys that were used, our own probes left out. Nobody is known without a key.",
        f"count(sum by (caller) (increase({_NAMED}[1d])) > 0) or vector(0)",
    ),
    figure(
        "Answered with a prediction, 24 hours",
        "percentunit",
        "Of all that were not the caller's mistake.",
        f"sum(increase({_ANSWERED}[1d])) / sum(increase(mlops_prediction_requests_total"
        f'{{{CHOSEN}, status!="rejected"}}[1d]))',
    ),
    figure(
        "US$ for 1,000 predictions",
        "currencyUSD",
        "Servers that are up, at the price at the top, by the last hour's predictions.",
        f'1000 * $server_hour_usd * sum(up{{job="endpoint", {CHOSEN}}})'
        f" / sum(increase({_ANSWERED}[1h]))",
    ),
    lines(
        "Labels that came back",
        "cps",
        "Callers who said what a text really was: only they make accuracy known.",
        ("{{classifier}}", f"sum by (classifier) (rate({_LABELS}{RATE}))"),
        wide=24,
    ),
    lines(
        "Requests by caller",
        "reqps",
        "By the name of the caller's key.",
        ("{{caller}}", rate("api_requests_total", "caller")),
    ),
    lines(
        "Requests by path",
        "reqps",
        "What the callers use.",
        ("{{path}}", rate("api_requests_total", "path")),
    ),
    lines(
        "Mean response time",
        "s",
        "Of every answer to a caller, probes left out.",
        (
            "{{classifier}}",
            f"sum by (classifier) (rate(api_response_time_seconds_sum{_ASKED}))"
            f" / sum by (classifier) (rate(api_response_time_seconds_count{_ASKED}))",
        ),
    ),
    of_cloudwatch(
        "Estimated charges of this month",
        "currencyUSD",
        "Of the account, by service; AWS has it when billing alerts are on.",
        CloudWatchQuery(
            "${PROP('Dim.ServiceName')}",
            "AWS/Billing",
            "EstimatedCharges",
            {"Currency": "USD", "ServiceName": "*"},
            "Maximum",
            21600,
            "us-east-1",
        ),
    ),
)
