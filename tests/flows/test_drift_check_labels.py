"""Labels ask for a retrain although nobody's language has moved."""

import json
from datetime import timedelta

import pytest
from plugins import logged
from plugins.watched import UNTIL

from flows.drift_check import drift_check
from tasks.drift_window import Window

# MLflow is shared: a window that no other test looks at.
WINDOW = Window(until=UNTIL + timedelta(minutes=7))

pytestmark = pytest.mark.usefixtures("engineless")


def test_answers_that_labels_call_wrong_ask_for_a_retrain_without_any_drift(watched):
    watched.serve()
    segment = watched.log(150).rsplit("host-", 1)[1].removesuffix(".parquet")
    logged.ship(watched.data, [logged.label(f"{segment}-{n}", UNTIL, "World") for n in range(60)])

    state = drift_check("news", WINDOW)
    again = drift_check("news", WINDOW)

    assert (state.name, again.name) == ("OK", "OK")
    (key,) = watched.requests()
    reason = json.loads(watched.s3.get_object(Bucket=watched.models, Key=key)["Body"].read())[
        "reason"
    ]
    assert (reason["kind"], reason["evidence"]["version"]) == ("accuracy", "7")
    assert "of 60 labelled answers of version 7 are right" in reason["note"]
    assert watched.events == []


def test_labels_that_prove_a_loss_ask_for_a_retrain_above_the_floor_of_the_gates_too(
    watched, tmp_path
):
    file = tmp_path / "news.toml"
    text = file.read_text("utf-8").replace('on_drift = "retrain"', 'on_drift = "when-hurting"')
    file.write_text(f"{text}\n[feedback]\naccuracy = 0.2\n", "utf-8")
    watched.serve()
    segment = watched.log(150).rsplit("host-", 1)[1].removesuffix(".parquet")
    logged.ship(watched.data, [logged.label(f"{segment}-{n}", UNTIL, "World") for n in range(100)])

    state = drift_check("news", WINDOW)

    assert state.name == "OK"
    assert "hurting: yes; retrain" in state.message
    (key,) = watched.requests()
    reason = json.loads(watched.s3.get_object(Bucket=watched.models, Key=key)["Body"].read())[
        "reason"
    ]
    assert reason["kind"] == "accuracy"
    assert reason["evidence"]["verdict_uri"].endswith("/verdict.json")
