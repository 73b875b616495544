"""The health flow over places in memory, other environments' endpoints and the monitor itself."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path

import pytest

from flows.health import health
from tasks import alerts
from tasks import health as module
from tasks.adapters import aws, checks, journal, probes
from tasks.policy import releases
from tasks.policy.health import DRIFT_CHECKS, State
from tasks.records import Place, Served

pytestmark = pytest.mark.usefixtures("engineless")
NUMBERS = count(1)
CLASSIFIERS = Path(__file__).resolve().parents[2] / "classifiers"


@pytest.fixture
def environment(settings_env, tmp_path, monkeypatch):
    """An environment that no other test uses, with the classifier `news`, where nothing is live."""
    name = f"h{next(NUMBERS)}"
    (tmp_path / "news.toml").write_text((CLASSIFIERS / "news.toml").read_text())
    monkeypatch.setenv("PERENNIAL_ENVIRONMENT", name)
    monkeypatch.setenv("PERENNIAL_CLASSIFIERS_DIR", str(tmp_path))
    topic = aws.client("sns").create_topic(Name=f"alerts-{name}")["TopicArn"]
    monkeypatch.setenv("PERENNIAL_ALERT_TOPIC_ARN", topic)
    return name


@pytest.fixture
def live(environment, room):
    """Version 7 of `news` is champion on `room`."""
    served = Served("7", "s3://b", "d" * 64, "ec2")
    claim = releases.claimed(None, "news", environment, served, "a test")
    bucket = os.environ["PERENNIAL_MODELS_BUCKET"]
    key = f"releases/{environment}/news/journal.json"
    journal.write(aws.client("s3"), bucket, key, releases.committed(claim))
    room.running["7"], room.public = served, "7"
    return room


@pytest.fixture
def heard(monkeypatch):
    """The subjects of what people were told."""
    subjects = []

    def notify(place, subject, message, command="", about=""):
        subjects.append(subject)
        return True

    monkeypatch.setattr(alerts, "notify", notify)
    return subjects


@pytest.fixture
def other():
    """Another environment's endpoint, which answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b'{"status": "healthy", "version": "9"}')

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status, server.url = 200, f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def seen(report):
    return {look.name: (look.state, look.version) for look, _ in report.rows}


def beats(environment, name="Heartbeat", **more):
    asked = {"Environment": environment, **more}
    metrics = aws.client("cloudwatch").list_metrics(Namespace="Perennial/Health", MetricName=name)
    told = [{one["Name"]: one["Value"] for one in m["Dimensions"]} for m in metrics["Metrics"]]
    return told.count(asked)


def test_where_nothing_is_live_nothing_is_sick_and_the_heart_beats(environment, room, heard):
    report = health()

    assert report.rows == ()
    assert report.healthy
    assert (beats(environment), beats(environment, "Probes", Classifier="news")) == (1, 0)
    assert heard == []


def test_a_sick_place_is_told_once_and_again_when_it_is_well(environment, live, heard):
    live.sick = True
    first = health()
    health()
    live.sick = False
    reports = [health(), health()]

    assert seen(first)["news"] == (State.UNHEALTHY, "7")
    assert not first.healthy
    assert heard == ["news is unhealthy", "news is healthy again"]
    assert all(report.healthy for report in reports)
    assert beats(environment, "Probes", Classifier="news") >= 1


def test_one_that_cannot_be_looked_at_hides_no_other(environment, live, heard, other, monkeypatch):
    Path(os.environ["PERENNIAL_CLASSIFIERS_DIR"], "bad.toml").write_text("name = 1")
    gone = "http://127.0.0.1:9"
    monkeypatch.setenv("PERENNIAL_HEALTH_URLS", f"{other.url} {gone}")
    other.status = 500

    report = health()

    assert seen(report) == {
        "bad": (State.UNKNOWN, ""),
        "drift-check bad": (State.UNKNOWN, ""),
        "news": (State.HEALTHY, "7"),
        "drift-check news": (State.HEALTHY, ""),
        other.url: (State.UNHEALTHY, "9"),
        gone: (State.UNREACHABLE, ""),
    }
    bad = next(look for look, _ in report.rows if look.name == "bad")
    assert "bad.toml" in bad.detail
    assert f"{other.url} is unhealthy" in heard
    assert f"{gone} is unreachable" in heard


def test_a_drift_check_that_never_ends_is_told_and_one_that_ended_is_enough(
    environment, live, heard, monkeypatch
):
    health()
    monkeypatch.setattr(module.health, "DRIFT_CHECKS", -DRIFT_CHECKS)
    overdue = health()
    monkeypatch.setattr(module.health, "DRIFT_CHECKS", DRIFT_CHECKS)
    now = module.datetime.now(module.UTC)
    folder = checks.folder("news", now, "0" * 64)
    s3, bucket = aws.client("s3"), os.environ["PERENNIAL_MODELS_BUCKET"]
    checks.conclude(s3, bucket, folder, b"{}")
    health()
    checked = health()
    s3.delete_object(Bucket=bucket, Key=f"{folder}/verdict.json")

    assert seen(overdue)["drift-check news"][0] is State.OVERDUE
    assert seen(checked)["drift-check news"][0] is State.HEALTHY
    assert heard == ["drift-check news is overdue", "drift-check news is healthy again"]


def test_a_damaged_note_is_forgotten_and_one_that_cannot_be_read_stops_the_heart(
    environment, live, heard, sandbox, monkeypatch
):
    note = f"health/{environment}/memory.json"
    aws.client("s3").put_object(
        Bucket=os.environ["PERENNIAL_MODELS_BUCKET"], Key=note, Body=b'{"news": 1}'
    )
    assert health().healthy
    beaten = beats(environment)
    monkeypatch.setenv("PERENNIAL_MODELS_BUCKET", "nobodys")

    with pytest.raises(Exception, match="NoSuchBucket"):
        health()

    assert (beaten, beats(environment)) == (1, 1)
    assert heard == []


def test_a_url_that_is_none_is_refused_by_its_setting(environment, monkeypatch):
    monkeypatch.setenv("PERENNIAL_HEALTH_URLS", "http://fine.example staging:8000/x y")

    with pytest.raises(ValueError, match="health_urls"):
        health()


def test_a_place_that_never_answers_is_given_up_soon():
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        answer = probes.look(f"http://127.0.0.1:{silent.server_port}", 0.5)

    assert (answer.status, answer.body.split(":")[0]) == (0, "ReadTimeout")


@pytest.mark.parametrize("target", ["ec2", "sagemaker"])
def test_what_should_be_there_and_is_not_is_unreachable(environment, target):
    from tasks.targets import TARGETS

    place = Place(
        *("news", "", target, "perennial", environment, "", "", "", "", "", "", "", 1, "bucket")
    )

    answer = TARGETS[target].look(aws.client, place, 5)

    assert answer.status == 0
    assert place.prefix in answer.body


def test_an_endpoint_that_aws_gave_up_is_unhealthy(environment, monkeypatch):
    from tasks.adapters import endpoints, updates

    gone = {"EndpointStatus": "Failed", "FailureReason": "no capacity"}
    monkeypatch.setattr(updates, "seen", lambda *_: gone)
    place = Place("news", "", "sagemaker", "p", "e", *([""] * 7), 1, "bucket")

    answer = endpoints.look(aws.client, place, 5)

    assert (answer.status, answer.body) == (503, "endpoint p-e-news is Failed: no capacity")


def test_the_note_is_one_object(environment, live, heard):
    health()

    note = f"health/{environment}/memory.json"
    found = aws.client("s3").get_object(Bucket=os.environ["PERENNIAL_MODELS_BUCKET"], Key=note)
    assert set(json.load(found["Body"])) == {"news", "drift-check news"}
