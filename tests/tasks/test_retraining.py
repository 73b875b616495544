"""Many ask for a retrain, one begins; on the sandbox's S3."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from threading import Barrier, local

import pytest

from tasks import classifiers, decisions, retrain_requests, retraining, runs
from tasks.adapters import aws, journal, ledger
from tasks.adapters import retrains as shelf
from tasks.drift_records import Checked, DriftOutcome, DriftVerdict
from tasks.errors import BadInput, Conflict, GateFailed
from tasks.policy import releases
from tasks.policy.governor import Answer
from tasks.policy.recovery import Fate
from tasks.reasons import Ending, Evidence, Reason
from tasks.records import Place, Served

BUCKET = "retraining-models"
NUMBERS = count(1)
ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def evidence(version="3", outcome=DriftOutcome.DETECTED):
    about = Checked("news", version, "d" * 64, NOW - timedelta(hours=24), NOW)
    return Evidence.of(DriftVerdict(outcome, about, 900, 800, 2000, score=0.41), "s3://m/verdict")


def drift(kind="drift", version="3"):
    return Reason(kind=kind, evidence=evidence(version))


@pytest.fixture
def chosen():
    return classifiers.load("news", ROOT / "classifiers")


@pytest.fixture
def place(sandbox, engineless, monkeypatch):
    """A classifier of its own for each test, of which version 3 serves."""
    monkeypatch.setattr(aws, "client", cache(aws.client))  # making one costs more than its calls
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    topic = aws.client("sns").create_topic(Name="retraining")["TopicArn"]
    told = dict.fromkeys((field.name for field in fields(Place)), "")
    name = f"news{next(NUMBERS)}"
    place = Place(**{**told, "classifier": name, "models_bucket": BUCKET, "topic_arn": topic})
    serve(place, "3")
    return place


def serve(place, version):
    served = Served(version, "s3://b", version * 64, "ec2")
    key, s3 = f"{place.releases}/journal.json", aws.client("s3")
    before = journal.read(s3, BUCKET, key)
    claim = releases.claimed(before, place.classifier, "test", served, "a test")
    journal.write(s3, BUCKET, key, releases.committed(claim))
    return served


@pytest.fixture
def run(monkeypatch):
    """`run("2")` names the flow run that speaks in this thread; Prefect thinks all are alive."""
    here = local()
    here.name = "0"
    monkeypatch.setattr(decisions, "holder", lambda: f"flow run {here.name} attempt 1")
    monkeypatch.setattr(runs, "fate", lambda holder: Fate.ALIVE)

    def speak(name):
        here.name = name

    return speak


@pytest.fixture
def told(sandbox):
    sandbox.clear_calls()
    return lambda: [call["action"] for call in sandbox.calls()].count("Publish")


def read(place):
    return shelf.read(aws.client("s3"), BUCKET, place.classifier)[0]


def actions(place):
    chain = ledger.read(aws.client("s3"), BUCKET, f"retrain/{place.classifier}/ledger")
    assert ledger.verify(chain) is None
    return [record.entry.action for record in chain]


def end(asked, error=None):
    with ExitStack() as undo:
        undo.push(retraining.on_failure(asked))
        if error:
            raise error


def back_date(place, hours):
    """Everything that is remembered was so many hours earlier."""
    s3, earlier = aws.client("s3"), timedelta(hours=hours)
    found, etag = shelf.read(s3, BUCKET, place.classifier)
    moved = tuple(
        one.model_copy(
            update={
                name: getattr(one, name) and getattr(one, name) - earlier
                for name in ("began", "until", "ended")
            }
        )
        for one in found.runs
    )
    shelf.write(s3, BUCKET, place.classifier, found.model_copy(update={"runs": moved}), etag)


def test_fifty_times_the_same_and_fifty_related_signals_are_one_retrain(place, chosen, run):
    start = Barrier(10)

    def signal(number):
        run(str(number))
        if number < 10:
            start.wait(60)
        kind = "drift" if number % 2 else "accuracy"
        request = retrain_requests.request_retrain(place, chosen.retrain, drift(kind))
        if number % 5:
            return None
        return retraining.ask(place, chosen, Reason(kind=kind, fingerprint=request.fingerprint))

    with ThreadPoolExecutor(10) as pool:
        answers = [one for one in pool.map(signal, range(100)) if one]
    (winner,) = [one for one in answers if one.granted]
    assert {one.ruling.answer for one in answers} == {Answer.START, Answer.WAIT}
    assert len(shelf.waiting(aws.client("s3"), BUCKET, place.classifier)) == 2
    assert retraining.promoted(winner, serve(place, "4")) == "version 4 serves after 3"
    late = retraining.ask(place, chosen, drift("accuracy"))
    assert late.ruling.answer is Answer.DROP
    assert "about version 3, version 4 serves now" in late.ruling.reason
    assert [one.ending for one in read(place).runs] == [Ending.PROMOTED]
    assert actions(place) == ["retrain-started", "retrain-promoted", "retrain-dropped"]


def test_three_in_a_row_that_are_refused_stop_it_and_a_person_is_told_once(
    place, chosen, run, told
):
    for number in range(3):
        run(str(number))
        asked = retraining.ask(place, chosen, drift())
        assert asked.granted
        with pytest.raises(GateFailed):
            end(asked, GateFailed("accuracy", ("0.61 is under 0.85",)))
        back_date(place, 57)
    silent = told()

    stopped = [retraining.ask(place, chosen, drift(kind)) for kind in ("drift", "accuracy")]

    assert {one.ruling.answer for one in stopped} == {Answer.STOPPED}
    assert "3 retrains in a row were not promoted" in stopped[0].ruling.reason
    assert (silent, told()) == (0, 1)
    assert actions(place)[-1] == "retrain-stopped"
    run("a person's")
    resumed = retraining.ask(place, chosen, Reason(), resume=True)
    assert resumed.granted
    retraining.promoted(resumed, serve(place, "4"))
    assert retraining.ask(place, chosen, drift(version="4")).ruling.answer is not Answer.STOPPED


@pytest.mark.parametrize("outcome", [one for one in DriftOutcome if one != "DETECTED"])
def test_a_check_that_found_nothing_or_broke_is_no_evidence(outcome):
    with pytest.raises(ValueError, match="outcome"):
        evidence(outcome=outcome)


@pytest.mark.parametrize("kind", ["drift", "accuracy"])
def test_without_evidence_nothing_is_requested_and_nothing_begins(place, chosen, run, kind):
    with pytest.raises(BadInput, match="needs the evidence of a check that DETECTED"):
        retrain_requests.request_retrain(place, chosen.retrain, Reason(kind=kind))

    asked = [
        retraining.ask(place, chosen, Reason(kind=kind)),
        retraining.ask(place, chosen, Reason(kind=kind, fingerprint="f" * 32)),
    ]

    assert {one.ruling.answer for one in asked} == {Answer.DROP}
    assert retraining.not_needed(asked[0]).name == "NotNeeded"
    assert shelf.waiting(aws.client("s3"), BUCKET, place.classifier) == []


def test_a_killed_run_does_not_block_for_ever_and_learns_that_it_was_overtaken(
    place, chosen, run, monkeypatch
):
    run("first")
    first = retraining.ask(place, chosen, drift())
    again = retraining.ask(place, chosen, drift())
    run("second")
    blocked = retraining.ask(place, chosen, drift())
    back_date(place, 1000)

    second = retraining.ask(place, chosen, drift())

    assert (first.granted, again.granted, second.granted) == (True, True, True)
    assert blocked.ruling.answer is Answer.WAIT
    assert [one.ending for one in read(place).runs] == [Ending.LOST, None]
    with pytest.raises(Conflict, match="silent for too long"):
        retraining.go_on(first, 10)
    with pytest.raises(GateFailed):
        end(first, GateFailed("late", ()))
    assert read(place).current.holder == "flow run second attempt 1"
    monkeypatch.setattr(runs, "fate", lambda holder: Fate.OVER)
    run("third")
    assert retraining.ask(place, chosen, drift()).granted  # Prefect knows that the second died


def test_a_retrain_learns_from_the_labels_that_were_there_when_it_was_asked_for(place, chosen, run):
    asked = retraining.ask(place, chosen, drift())
    again = retraining.ask(place, chosen, drift())

    assert asked.feedback.until == asked.request.at
    assert asked.feedback.since == asked.request.at - timedelta(days=30)
    assert again.feedback == asked.feedback
    assert asked.feedback.needed
