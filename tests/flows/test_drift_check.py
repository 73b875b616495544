"""A check of a window: what it comes to, what it leaves behind, and what it never does."""

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError
from plugins.watched import FOLDER, UNTIL
from prefect.states import Completed, Failed

from flows.drift_check import drift_check
from tasks.adapters import checks, data_capture
from tasks.drift_response import exit_code
from tasks.drift_window import Window
from tasks.errors import MonitorBroken

WINDOW = Window(until=UNTIL)
pytestmark = pytest.mark.usefixtures("engineless")


def check(window=WINDOW):
    state = drift_check("news", window)
    assert state.is_completed()
    return state


def left_nothing(watched):
    assert watched.requests() == []
    assert watched.events == []
    return True


def test_drift_is_written_down_shown_announced_and_asks_for_a_retrain_once(watched, mlflow_server):
    from mlflow import MlflowClient

    watched.serve()
    watched.log(150, drifted=True)

    state = check()
    again = check()

    assert (state.name, again.name) == ("DETECTED", "DETECTED")
    assert again.message == state.message
    verdict = watched.verdict()
    assert verdict["outcome"] == "DETECTED"
    assert len(watched.requests()) == 1
    (event,) = watched.events
    assert event["event"] == "model.drift.detected"
    assert event["resource"]["prefect.resource.id"] == "perennial.model.news"
    told = event["payload"]
    assert told["fingerprint"] in watched.requests()[0]
    assert (told["classifier"], told["version"], told["advice"]) == ("news", "7", "retrain")
    bucket, key = told["verdict_uri"].removeprefix("s3://").split("/", 1)
    kept = watched.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(kept) == verdict
    ((subject, message),) = watched.told()
    assert subject == "news: drift, version 7"
    assert "A retrain was asked for" in message
    (page,) = watched.pages
    assert page.startswith("# 🔴 news: DETECTED")
    assert "](data:image/png;base64," in page
    assert "`dividend`" in page
    assert "ann@example.com" not in page
    folder = told["verdict_uri"].rsplit("/", 1)[0].split("/", 3)[3]
    assert [name.rsplit("/", 1)[1] for name in watched.kept(folder)] == [
        *("report.html", "report.json", "verdict.json")
    ]
    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("news-drift")
    runs = client.search_runs(
        [experiment.experiment_id], f"tags.verdict_uri = '{told['verdict_uri']}'"
    )
    assert [run.data.tags["outcome"] for run in runs] == ["DETECTED"]
    assert runs[0].data.metrics["drift_score"] == pytest.approx(verdict["score"])
    assert f"/#/experiments/{experiment.experiment_id}/runs/{runs[0].info.run_id}" in page


def test_the_same_texts_are_ok_and_nobody_is_bothered(watched):
    watched.serve()
    watched.log(150)

    state = check()

    assert state.name == "OK"
    assert watched.told() == []
    assert left_nothing(watched)
    assert watched.verdict()["outcome"] == "OK"
    assert watched.pages[0].startswith("# ✅ news: OK")


def test_a_second_window_of_the_same_drift_is_a_new_verdict_but_no_new_request_or_message(watched):
    watched.serve()
    watched.log(150, drifted=True)
    check()
    watched.told()

    later = check(Window(until=UNTIL + timedelta(minutes=30)))

    assert later.name == "DETECTED"
    assert len(watched.requests()) == 1
    assert len({event["id"] for event in watched.events}) == 2
    assert watched.told() == []


def test_too_few_rows_are_no_data_until_more_come_late(watched):
    watched.serve()
    watched.log(20, drifted=True)

    early = check()
    left_nothing(watched)
    watched.log(150, drifted=True)
    late = check()

    assert (early.name, late.name) == ("NO_DATA", "DETECTED")
    assert "20 different texts in 20 rows" in early.message
    assert watched.pages[0].startswith("# ❔ news: NO_DATA")


def test_where_nothing_serves_there_is_no_data(watched):
    state = check()

    assert state.name == "NO_DATA"
    assert state.message.startswith("nothing serves news: prefect deployment run")
    assert left_nothing(watched)
    assert [key.rsplit("/", 1)[1] for key in watched.kept("drift/")] == ["no-data.json"]


def test_only_rows_of_the_window_and_of_the_version_that_serves_count(watched):
    watched.serve()
    watched.log(150, drifted=True, ago=timedelta(hours=3))
    watched.log(150, drifted=True, ago=timedelta(0))
    watched.digest = "e" * 64
    watched.log(150, drifted=True)

    assert check().name == "NO_DATA"
    assert check(Window(until=UNTIL, since=UNTIL - timedelta(hours=4))).name == "DETECTED"


def without_reference(watched):
    watched.s3.delete_object(Bucket=watched.models, Key=f"{FOLDER}/reference.parquet")


def with_broken_segment(watched):
    key = watched.log(10)
    watched.s3.put_object(Bucket=watched.data, Key=key, Body=b"PAR1 cut off")


def without_bucket(watched):
    for key in watched.kept("", watched.data):
        watched.s3.delete_object(Bucket=watched.data, Key=key)
    watched.s3.delete_bucket(Bucket=watched.data)


@pytest.mark.parametrize("broken", [without_reference, with_broken_segment, without_bucket])
def test_a_broken_monitor_fails_and_is_told_and_never_asks_for_a_retrain(watched, broken):
    watched.serve()
    watched.log(150, drifted=True)
    broken(watched)

    for _ in range(2):
        with pytest.raises((MonitorBroken, ClientError)) as error:
            drift_check("news", WINDOW)

    assert left_nothing(watched)
    assert not [key for key in watched.kept("drift/") if key.endswith("verdict.json")]
    ((subject, message),) = watched.told()
    assert subject == "news: the drift check is broken, nobody watches its texts"
    assert str(error.value)[:60] in message


def test_a_verdict_that_cannot_be_written_is_made_again_with_one_request_and_the_same_event(
    watched, sandbox, monkeypatch
):
    watched.serve()
    watched.log(150, drifted=True)

    def broken(*_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

    with monkeypatch.context() as patch:
        patch.setattr(checks, "conclude", broken)
        with pytest.raises(ClientError):
            drift_check("news", WINDOW)
    heard = [subject for subject, _ in watched.told()]
    again = check()

    assert heard == [
        *("news: drift, version 7", "news: the drift check is broken, nobody watches its texts")
    ]
    assert again.name == "DETECTED"
    assert watched.told() == []
    assert len(watched.requests()) == 1
    assert len({event["id"] for event in watched.events}) == 1


def test_mlflow_being_away_keeps_no_drift_from_being_seen(watched, monkeypatch):
    watched.serve()
    watched.log(150, drifted=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    assert check().name == "DETECTED"
    assert "in MLflow" not in watched.pages[0]
    assert len(watched.requests()) == 1


@pytest.mark.parametrize(
    ("name", "code"), [("OK", 0), ("SUSPECTED", 0), ("DETECTED", 2), ("NO_DATA", 3)]
)
def test_scripts_are_told_by_the_exit_code(name, code):
    assert exit_code(Completed(name=name)) == code
    assert exit_code(Failed(name=name)) == 1
    assert exit_code(Completed()) == 1


def test_what_sagemaker_captured_is_read_where_our_own_log_has_nothing(watched, monkeypatch):
    watched.serve(target="sagemaker")
    folder = f"data-capture-sagemaker/perennial-{watched.environment}-news"
    watched.capture(folder, 150)

    def unconfigured(_sagemaker, endpoint, default):
        return f"{default}/{endpoint}"

    monkeypatch.setattr(data_capture, "destination", unconfigured)

    assert check().name == "DETECTED"
    assert watched.verdict()["rows"] == 150
    assert "ann@example.com" not in watched.pages[0]
