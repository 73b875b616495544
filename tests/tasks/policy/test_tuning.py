from dataclasses import replace
from pathlib import Path

import pytest

from tasks.classifiers import load
from tasks.errors import BadInput
from tasks.options import TrainingOptions, TuningOptions
from tasks.policy.budget import enough, spent
from tasks.policy.tuning import changes, cut_before, failing, identity, values, winner, with_values
from tasks.requests import Started
from tasks.trials import Bill, Trial

NEWS = load("news", Path(__file__).resolve().parents[3] / "classifiers")
HOUR = 3600.0
NOW = 100 * HOUR


def config(**limits):
    return TuningOptions(**limits).apply(NEWS, TrainingOptions())


def trial(number, state="COMPLETE", score=0.5, hours=(0.0, 1.0), job=None):
    job = job or f"job-{number}"
    begin, end = (at * HOUR for at in hours)
    bill = Bill(job, begin, end, end - begin)
    ended = state != "RUNNING"
    started = Started(job, "training", "new", 900)
    return Trial(number, state, {}, begin, score, job=started, bill=bill if ended else None)


def test_hours_are_those_in_which_any_job_ran():
    trials = [
        trial(0, hours=(0, 2)),
        trial(1, hours=(1, 3)),
        trial(2, hours=(10, 11)),
        trial(3, "RUNNING", hours=(99, 99)),
    ]

    assert spent(trials, NOW, NEWS).hours == pytest.approx(3 + 1 + 1)


def test_dollars_are_billable_hours_of_each_job_once_and_of_every_instance():
    priced = config(dollars_per_hour=0.5)
    training = priced.training.model_copy(update={"instance_count": 2})
    two_instances = priced.model_copy(update={"training": training})
    trials = [trial(0, hours=(0, 2)), trial(1, hours=(0, 2), job="job-0"), trial(2, "PRUNED")]

    assert spent(trials, NOW, priced).dollars == pytest.approx(1.5)
    assert spent(trials, NOW, two_instances).dollars == pytest.approx(3.0)
    assert spent(trials, NOW, NEWS).dollars is None


def test_spot_costs_what_is_billed_and_not_what_the_clock_says():
    one = trial(0, hours=(0, 2))
    assert one.bill is not None
    cheap = replace(one, bill=replace(one.bill, billable_s=HOUR / 2))

    used = spent([cheap], NOW, config(dollars_per_hour=1.0))

    assert (used.hours, used.dollars) == (2.0, 0.5)


def test_a_study_ends_after_its_trials_and_failed_ones_are_not_counted():
    trials = [trial(0), trial(1, "PRUNED"), trial(2, "FAIL"), trial(3, "WAITING")]

    assert enough(trials, NOW, config(trials=3)) == ""
    assert enough([*trials, trial(4, "RUNNING")], NOW, config(trials=3)) == "3 trials of 3"


def test_a_study_ends_after_its_hours():
    assert enough([trial(0, hours=(0, 2))], NOW, config(hours=2.5)) == ""
    assert enough([trial(0, hours=(0, 3))], NOW, config(hours=2.5)) == "3.00 hours of 2.5"


def test_a_trial_that_would_not_fit_into_the_money_is_not_begun():
    trials = [trial(0, hours=(0, 1)), trial(1, hours=(0, 3)), trial(2, "RUNNING", hours=(99, 0))]
    limits = {"dollars_per_hour": 1.0, "hours": 50}

    told = enough(trials, NOW, config(dollars=8.0, **limits))

    # 4 spent, 1 by the running trial, which will need 1 more, and 2 for the next.
    assert told == "5.00 dollars of 8.00, and another trial would bring it to about 8.00"
    assert enough(trials, NOW, config(dollars=8.5, **limits)) == ""


def test_before_any_trial_is_complete_the_money_only_has_to_last_until_now():
    limits = {"dollars": 0.5, "dollars_per_hour": 1.0, "hours": 200}

    assert enough([], NOW, config(**limits)) == ""
    assert "dollars of 0.50" in enough([trial(0, "FAIL")], NOW, config(**limits))


def test_money_without_a_price_is_refused():
    with pytest.raises(BadInput, match="dollars is a limit only with dollars_per_hour"):
        config(dollars=5.0)


def test_failures_in_a_row_end_a_study_and_others_do_not():
    bad = [replace(trial(number, "FAIL"), note=f"no memory {number}") for number in range(3)]

    assert failing(bad[:2], NEWS.tuning) == ""
    assert failing([*bad[:2], trial(9), bad[2]], NEWS.tuning) == ""
    assert failing([trial(9), *bad], NEWS.tuning) == (
        "3 trials in a row failed, the last one, 2: no memory 2"
    )


def test_the_winner_is_the_best_complete_trial_and_the_first_of_equals():
    trials = [
        trial(0, score=0.7),
        trial(1, "PRUNED", 0.9),
        trial(2, score=0.8),
        trial(3, score=0.8),
    ]

    found = winner(trials)

    assert found is not None
    assert found.number == 2
    assert winner([trial(0, "FAIL")]) is None


def test_values_that_were_cut_short_once_are_not_tried_again():
    slow, fast = ({"learning-rate": rate} for rate in (1e-6, 1e-4))
    cut = replace(trial(2, "PRUNED"), values=slow)

    assert cut_before([cut], replace(trial(5), values=slow)) == 2
    assert cut_before([cut], replace(trial(5), values=fast)) is None
    assert cut_before([cut], cut) is None
    assert cut_before([replace(trial(1), values=slow)], replace(trial(5), values=slow)) is None


def test_another_question_is_another_study_and_more_budget_is_not():
    first = identity(NEWS, "s" * 64, "macro_f1")

    assert identity(config(trials=50, hours=99), "s" * 64, "macro_f1") == first
    assert identity(NEWS, "t" * 64, "macro_f1") != first
    assert identity(NEWS, "s" * 64, "accuracy") != first
    assert identity(TuningOptions().apply(NEWS, TrainingOptions(epochs=2)), "s" * 64, "") != first


def test_what_the_options_set_is_not_searched():
    fixed = TuningOptions().apply(NEWS, TrainingOptions(epochs=2, base_model="offline"))

    assert "num-train-epochs" not in fixed.tuning.space
    assert values(fixed)["learning-rate"] == 2e-5
    assert fixed.training.hyperparameters.num_train_epochs == 2


def test_changes_are_only_what_differs_from_the_file():
    fixed = TuningOptions().apply(NEWS, TrainingOptions(epochs=2))
    chosen = {**values(fixed), "learning-rate": 4e-5}

    assert with_values(fixed, chosen).training.hyperparameters.learning_rate == 4e-5
    assert changes(NEWS, fixed, chosen) == {"num-train-epochs": 2, "learning-rate": 4e-5}
