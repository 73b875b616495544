"""Who is let train, and what is remembered of it; the four flows have tests of their own."""

from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace

import pytest
from plugins.releases import unwatched

from flows import pipeline as module
from flows.pipeline import pipeline
from tasks import retrain_requests, retraining, revival, runs, targets
from tasks.adapters import aws, journal, retrains
from tasks.classifiers import load
from tasks.drift_records import DriftOutcome
from tasks.errors import DeployFailed, GateFailed, NotFound
from tasks.policy import releases
from tasks.policy.recovery import Fate
from tasks.reasons import Ending, Evidence, Reason
from tasks.records import Served
from tasks.settings import Settings

BUCKET = "pipeline-models"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
DRIFT = Reason(
    kind="drift",
    evidence=Evidence(
        outcome=DriftOutcome.DETECTED,
        version="3",
        verdict_uri="s3://models/verdict.json",
        score=0.41,
        since=NOW - timedelta(hours=24),
        until=NOW,
    ),
)


class Steps:
    """Stand in for the four flows; `version` is what they train, `error` what a step raises."""

    def __init__(self, place):
        self.place, self.version, self.error, self.done = place, "4", {}, []

    def __getattr__(self, name):
        def step(*args):
            self.done.append((name, *args[1:]))
            if name in self.error:
                raise self.error[name]
            if name == "deploy":
                self.serve(self.version)
            return SimpleNamespace(sha256="rows", version=self.version)

        return step

    def serve(self, version):
        served = Served(version, "s3://b", version * 64, "ec2")
        key, s3 = f"{self.place.releases}/journal.json", aws.client("s3")
        before = journal.read(s3, BUCKET, key)
        claim = releases.claimed(before, "news", "test", served, "a test")
        journal.write(s3, BUCKET, key, releases.committed(claim))

    @property
    def names(self):
        return [name for name, *_ in self.done]


@pytest.fixture
def settings(settings_env, tmp_path, monkeypatch):
    monkeypatch.setattr(aws, "client", cache(aws.client))  # making one costs more than its calls
    aws.client("s3").create_bucket(Bucket=BUCKET)
    monkeypatch.setenv("PERENNIAL_MODELS_BUCKET", BUCKET)
    monkeypatch.setenv("PERENNIAL_CLASSIFIERS_DIR", str(unwatched(tmp_path)))
    yield Settings()
    s3 = aws.client("s3")
    for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])


@pytest.fixture
def in_prefect(settings, monkeypatch):
    place = targets.place_of(settings, load("news", settings.classifiers_dir), None)
    made = Steps(place)
    made.serve("3")
    for name in ("ingest", "train", "tag_reason", "evaluate", "deploy", "publish_pipeline"):
        monkeypatch.setattr(module, name, getattr(made, name))
    monkeypatch.setattr(module, "address", lambda place: "http://room")
    monkeypatch.setattr(runs, "fate", lambda holder: Fate.ALIVE)
    return made


@pytest.fixture
def steps(in_prefect, engineless):
    return in_prefect


@pytest.fixture
def started(monkeypatch):
    """Deployments' runs that were started: by key, as a Prefect server does it."""
    found = {}

    def start(deployment, parameters, key):
        state = SimpleNamespace(is_final=lambda: False)
        run = SimpleNamespace(name=key, state=state, asked=(deployment, parameters))
        return found.setdefault(key, run)

    monkeypatch.setattr(runs, "start", start)
    return found


def remembered():
    return retrains.read(aws.client("s3"), BUCKET, "news")[0].runs


def request(steps, minutes_ago=5, reason=DRIFT):
    """What a drift check left there, whose event nobody heard."""
    asked = retrain_requests.request_retrain(
        steps.place, load("news", Settings().classifiers_dir).retrain, reason
    )
    earlier = asked.model_copy(update={"at": asked.at - timedelta(minutes=minutes_ago)})
    key = f"retrain/news/{asked.fingerprint}.json"
    aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=earlier.model_dump_json().encode())
    return earlier


def test_a_retrain_for_drift_learns_from_the_labels_that_came_so_far(steps):
    served = pipeline("news", reason=DRIFT)

    (run,) = remembered()
    window = steps.done[0][-1]
    assert served.version == "4"
    assert window.until - window.since == timedelta(days=30)
    assert abs(window.until - datetime.now(UTC)) < timedelta(hours=1)
    assert steps.done[2][1].told == "drift 0.410 of version 3"
    assert (run.kind, run.ending, run.made, run.version) == ("drift", Ending.PROMOTED, "4", "3")


@pytest.mark.parametrize(
    ("step", "error", "ending"),
    [
        ("ingest", NotFound("no rows"), Ending.FAILED),
        ("evaluate", GateFailed("news version 4 is FAIL", ("0.61 is under 0.85",)), "refused"),
        ("deploy", DeployFailed("the canary failed requests"), Ending.REFUSED),
    ],
)
def test_how_a_retrain_failed_is_written_down(steps, step, error, ending):
    steps.error = {step: error}

    with pytest.raises(type(error)):
        pipeline("news", reason=DRIFT)
    steps.error = {}
    state = pipeline("news", reason=DRIFT)

    (run,) = remembered()
    assert run.ending == ending
    assert str(error) in run.why
    assert (state.name, state.is_completed()) == ("NotNeeded", True)
    assert f"not needed: its retrain ended {ending} at " in state.message


def test_a_person_and_the_week_train_by_their_own_reasons(steps):
    pipeline("news")
    steps.version = "5"
    pipeline("news")
    steps.version = "6"
    pipeline("news", reason=Reason(kind="weekly"))
    again = pipeline("news", reason=Reason(kind="weekly"))

    told = [(run.kind, run.ending, run.made) for run in remembered()]
    assert told == [
        ("manual", Ending.PROMOTED, "4"),
        ("manual", Ending.PROMOTED, "5"),
        ("weekly", Ending.PROMOTED, "6"),
    ]
    windows = [window for name, *_, window in steps.done if name == "ingest"]
    assert [window.needed for window in windows] == [False] * 3
    assert all(window.until - window.since == timedelta(days=30) for window in windows)
    assert again.name == "NotNeeded"


def test_a_person_who_starts_again_what_broke_finds_its_rows(steps):
    steps.error = {"train": NotFound("no machine")}
    for _ in range(2):
        with pytest.raises(NotFound):
            pipeline("news")
    steps.error = {}
    pipeline("news")
    pipeline("news")

    first, second, third, later = (
        window.until for name, *_, window in steps.done if name == "ingest"
    )
    assert first == second == third < later


def test_a_version_that_served_already_is_no_new_one(steps):
    steps.version = "3"

    pipeline("news", reason=Reason(kind="weekly"))

    assert [run.ending for run in remembered()] == [Ending.UNCHANGED]


def test_what_was_noticed_while_the_server_was_down_is_started_once_it_is_back(steps, started):
    asked = request(steps)

    said = [revival.revive(Settings(), "news")]
    said.append(revival.revive(Settings(), "news"))
    (run,) = started.values()
    deployment, parameters = run.asked
    pipeline(parameters["classifier"], reason=Reason(**parameters["reason"]))
    said.append(revival.revive(Settings(), "news"))

    assert deployment == "pipeline/on-drift"
    assert parameters["reason"]["fingerprint"] == asked.fingerprint
    assert steps.names.count("train") == len(started) == 1
    assert said[-1] == "no retrain is asked for"


def test_the_event_gets_its_minute_before_reconcile_starts_the_same(steps, started):
    request(steps, minutes_ago=0)

    assert revival.revive(Settings(), "news") == "drift was noticed just now"
    assert started == {}


def test_a_killed_retrain_is_begun_again_by_another_run(steps, started, monkeypatch):
    asked = request(steps)
    chosen = load("news", Settings().classifiers_dir)
    monkeypatch.setattr(retraining.decisions, "holder", lambda: "flow run 1 attempt 1")
    retraining.ask(steps.place, chosen, Reason(kind="drift", fingerprint=asked.fingerprint))

    alive = revival.revive(Settings(), "news")
    monkeypatch.setattr(runs, "fate", lambda holder: Fate.OVER)
    dead = revival.revive(Settings(), "news")

    assert "under way until" in alive
    assert dead.startswith("started: drift")
    assert list(started) == [f"{asked.fingerprint}-2-0"]
    assert [run.ending for run in remembered()] == [Ending.LOST]


def test_runs_that_never_come_to_ask_are_told_to_a_person(steps, started, sandbox):
    request(steps)
    sandbox.clear_calls()
    ended = SimpleNamespace(is_final=lambda: True)
    revival.revive(Settings(), "news")

    for _ in range(6):
        for run in started.values():
            run.state = ended
        said = revival.revive(Settings(), "news")

    assert len(started) == 5
    assert "5 runs of pipeline/on-drift ended before they began to retrain" in said


def test_prefect_shows_who_trained_and_why_another_run_was_not_needed(prefect_server, in_prefect):
    trained = pipeline("news", reason=DRIFT, return_state=True)
    again = pipeline("news", reason=DRIFT, return_state=True)

    assert trained.name == "Completed"
    assert in_prefect.names == [
        *("ingest", "train", "tag_reason", "evaluate", "deploy", "publish_pipeline")
    ]
    assert (again.is_completed(), again.name) == (True, "NotNeeded")
    assert again.message == "not needed: it is about version 3, version 4 serves now"
