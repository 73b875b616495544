import threading
from hashlib import sha256
from typing import Any

import boto3
import optuna
import pytest

from tasks.adapters import aws, studies
from tasks.adapters.study_log import StudyLog
from tasks.errors import Conflict
from tasks.requests import Started
from tasks.search import Search, Tuning
from tasks.trials import Bill, Study

BUCKET = "studies-models"
TUNING = Tuning(
    trials=8,
    prune_after_trials=1,
    space={
        "learning-rate": Search(low=1e-6, high=1e-3, log=True),
        "num-train-epochs": Search(low=2, high=4),
        "warmup-steps": Search(choices=(0, 100)),
    },
)
FIRST = {"learning-rate": 2e-5, "num-train-epochs": 3, "warmup-steps": 100}


@pytest.fixture
def s3(sandbox) -> Any:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    sandbox.clear_faults()
    return aws.client("s3")


@pytest.fixture
def study(request) -> Study:
    name = f"pets-{sha256(request.node.name.encode()).hexdigest()[:12]}"
    return Study(name, "pets", "s" * 64, BUCKET, f"studies/test/{name}", "macro_f1", "run")


@pytest.fixture
def log(s3, study):
    return lambda: StudyLog(s3, BUCKET, study.folder)


def test_entries_come_back_in_their_order_from_any_number_on(log):
    written = [{"at": number} for number in range(12)]
    log().append_logs(written)

    assert list(log().read_logs(0)) == written
    assert list(log().read_logs(9)) == written[9:]
    assert list(log().read_logs(12)) == []


def test_writers_at_the_same_time_lose_nothing_and_see_the_same(log):
    logs = [log() for _ in range(4)]
    every = [[{"writer": who, "at": at} for at in range(8)] for who in range(4)]
    threads = [
        threading.Thread(
            target=lambda who=who: [logs[who].append_logs([one]) for one in every[who]]
        )
        for who in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = [list(one.read_logs(0)) for one in logs]
    assert seen[0] == seen[1] == seen[2] == seen[3]
    assert len(seen[0]) == 32
    for who in range(4):
        assert [entry for entry in seen[0] if entry["writer"] == who] == every[who]


def test_a_write_whose_answer_was_lost_is_one_entry(log, sandbox):
    sandbox.fault(service="s3", action="PutObject", kind="commit-then-500", times=1)

    log().append_logs([{"at": 0}, {"at": 0}])

    assert list(log().read_logs(0)) == [{"at": 0}, {"at": 0}]


def test_a_missing_entry_is_a_conflict_and_never_skipped(log, s3, study):
    log().append_logs([{"at": number} for number in range(3)])
    s3.delete_object(Bucket=BUCKET, Key=f"{study.folder}/00000001.json")

    with pytest.raises(Conflict, match="entry 1 before it is missing"):
        log().read_logs(0)


def test_the_files_own_values_are_tried_first_and_once(s3, study):
    for _ in range(2):
        opened = studies.opened(s3, study, TUNING)
        assert studies.suggest_first(opened, TUNING, FIRST)

    first, second = (studies.ask(opened, TUNING) for _ in range(2))

    assert first.values == FIRST
    assert second.values != FIRST
    assert studies.suggest_first(opened, TUNING, FIRST)
    assert [one.state for one in studies.trials(opened, TUNING)] == ["RUNNING", "RUNNING"]


def test_values_outside_the_search_are_not_tried(s3, study):
    opened = studies.opened(s3, study, TUNING)

    assert not studies.suggest_first(opened, TUNING, {**FIRST, "num-train-epochs": 5})
    assert studies.trials(opened, TUNING) == []


def test_two_processes_ask_for_different_trials_of_one_study(s3, study):
    here, there = (studies.opened(s3, study, TUNING) for _ in range(2))

    numbers = [studies.ask(which, TUNING).number for which in (here, there, there, here)]

    assert numbers == [0, 1, 2, 3]
    assert studies.trials(here, TUNING) == studies.trials(there, TUNING)


def test_the_same_study_asked_again_tries_the_same(s3, study):
    def asked(folder: str) -> list[Any]:
        elsewhere = Study(
            study.name, "pets", "", BUCKET, f"{study.folder}/{folder}", "macro_f1", ""
        )
        opened = studies.opened(s3, elsewhere, TUNING)
        return [studies.ask(opened, TUNING).values for _ in range(3)]

    assert asked("a") == asked("b")


def test_a_trial_whose_asker_was_killed_gets_the_values_it_would_have_had(s3, study):
    opened = studies.opened(s3, study, TUNING)
    number = opened.ask().number  # and here the process ended

    found = studies.complete(studies.opened(s3, study, TUNING), TUNING, number)

    assert set(found.values) == set(TUNING.space)
    assert studies.complete(opened, TUNING, number) == found


def test_a_trial_below_the_median_of_the_others_is_not_worth_its_time(s3, study):
    opened = studies.opened(s3, study, TUNING)
    good, bad = (studies.ask(opened, TUNING).number for _ in range(2))

    assert [studies.report(opened, good, epoch, 0.5 + epoch / 10) for epoch in (1, 2)] == [
        False
    ] * 2
    assert not studies.report(opened, bad, 1, 0.4)
    studies.tell(opened, good, "COMPLETE", 0.7)

    assert studies.report(studies.opened(s3, study, TUNING), bad, 1, 0.4)
    assert not studies.report(opened, studies.ask(opened, TUNING).number, 1, 0.65)


def test_all_that_was_told_is_there_when_the_study_is_opened_again(s3, study):
    opened = studies.opened(s3, study, TUNING)
    complete, pruned, failed = (studies.ask(opened, TUNING).number for _ in range(3))
    bill, job = Bill("job-a", 100.0, 160.0, 60.0), Started("job-a", "training", "new", 900)
    studies.started(opened, complete, job)
    studies.report(opened, complete, 1, 0.6)
    studies.tell(opened, complete, "COMPLETE", 0.6, bill)
    studies.report(opened, pruned, 1, 0.2)
    studies.doom(opened, pruned, "epoch 1: 0.2000 is less")
    studies.tell(opened, pruned, "PRUNED")
    studies.tell(opened, failed, "FAIL", note="no memory")
    studies.tell(opened, failed, "COMPLETE", 1.0)

    found = studies.trials(studies.opened(s3, study, TUNING), TUNING)

    assert [(one.state, one.score, one.note) for one in found] == [
        ("COMPLETE", 0.6, ""),
        ("PRUNED", 0.2, "epoch 1: 0.2000 is less"),
        ("FAIL", None, "no memory"),
    ]
    assert (found[0].job, found[0].bill) == (job, bill)
    assert found[0].curve == {1: 0.6}


def test_optuna_itself_reads_the_study(s3, study):
    opened = studies.opened(s3, study, TUNING)
    studies.tell(opened, studies.ask(opened, TUNING).number, "COMPLETE", 0.9)

    storage = optuna.storages.JournalStorage(StudyLog(s3, BUCKET, f"{study.folder}/log"))

    assert optuna.load_study(study_name=study.name, storage=storage).best_value == 0.9
