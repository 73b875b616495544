"""How right, how sure, and how far today's texts are from those the model learnt from."""

from infra.monitoring.panels import CHOSEN, CloudWatchQuery, lines, of_cloudwatch, rate

_SURE = "mlops_model_confidence"

PANELS = (
    lines(
        "Accuracy",
        "percentunit",
        "By callers' labels, once there are 30. Alert ModelAccuracyDrop: below 85 % or the"
        " classifier's own minimum, for 5 minutes.",
        ("{{classifier}} {{model_version}}", f"mlops_model_accuracy{{{CHOSEN}}}"),
        ("minimum {{classifier}}", "perennial:accuracy:minimum"),
    ),
    of_cloudwatch(
        "Drift score",
        "none",
        "Largest effect of the last check, 0 to 1, from the drift-check flow. It is the"
        " check's verdict that starts a retrain, not this curve.",
        CloudWatchQuery(
            "${PROP('Dim.Classifier')} ${PROP('Dim.Environment')}",
            "Perennial/Drift",
            "DriftScore",
            {"Classifier": "*", "Environment": "*"},
            "Maximum",
            3600,
        ),
        limit=0.3,
    ),
    lines(
        "Confidence",
        "percentunit",
        "Probability of the predicted label, of each server's last 1,000 answers.",
        (
            "{{instance}} {{model_version}} p{{quantile}}",
            f"{_SURE}{{{CHOSEN}}}",
        ),
    ),
    lines(
        "Mean confidence",
        "percentunit",
        "Of all servers. It falls when texts become strange; that alone is no proof.",
        (
            "{{classifier}} {{model_version}}",
            f"{rate(f'{_SURE}_sum', 'classifier, model_version')}"
            f" / {rate(f'{_SURE}_count', 'classifier, model_version')}",
        ),
    ),
    lines(
        "Predictions by version",
        "reqps",
        "Two versions share the traffic while a release is under way.",
        (
            "{{classifier}} {{model_version}}",
            rate("mlops_prediction_requests_total", "classifier, model_version"),
        ),
    ),
    lines(
        "Weight of the versions",
        "percentunit",
        "The share of traffic that each version of a server is to get.",
        ("{{instance}} {{model_version}}", f"mlops_model_weight{{{CHOSEN}}}"),
    ),
    lines(
        "Labels behind the accuracy",
        "short",
        "Of each server's latest answers: with a hundred the accuracy is known to some 7 %.",
        ("{{instance}} {{model_version}}", f"mlops_feedback_labels{{{CHOSEN}}}"),
        wide=24,
    ),
)
