from dataclasses import replace
from pathlib import Path

from tasks.classifiers import load
from tasks.options import TrainingOptions, TuningOptions
from tasks.policy.study_page import baseline, page, standing
from tasks.policy.tuning import values
from tasks.trials import Bill, Study, Trial

FOLDER = Path(__file__).resolve().parents[3] / "classifiers"
NEWS, TEXT = load("news", FOLDER), (FOLDER / "news.toml").read_text()
STUDY = Study("news-1a2b", "news", "s" * 64, "models", "studies/dev/news-1a2b", "macro_f1", "run")
OWN = Trial(0, "COMPLETE", values(NEWS), 0.0, 0.80, bill=Bill("a", 0.0, 1800.0, 1800.0))
BETTER = Trial(1, "COMPLETE", {**values(NEWS), "learning-rate": 4.1e-5}, 0.0, 0.85)


def told(trials, text=TEXT, config=NEWS):
    return page(standing(STUDY, NEWS, text, config, trials), config, trials, 3600.0, ["![a](b)"])


def test_a_better_trial_is_told_with_its_patch_and_where_the_patch_lies():
    text = told([OWN, BETTER])

    assert "## news: trial 1 is the best" in text
    assert "| Best macro-F1 | 0.8500, trial 1 |" in text
    assert "| The file's values | 0.8000, trial 0 |" in text
    assert "| `learning-rate` | 2e-05 | 4.1e-05 |" in text
    assert "-learning-rate = 2e-5\n+learning-rate = 4.1e-05\n" in text
    assert "`aws s3 cp s3://models/studies/dev/news-1a2b/winner.patch - | git apply`" in text
    assert "![a](b)" in text


def test_when_the_file_is_the_best_there_is_nothing_to_take():
    text = told([OWN, replace(BETTER, score=0.7)])

    assert "nothing tried was better than the classifier file" in text
    assert "git apply" not in text


def test_before_anything_is_complete_the_page_says_so():
    assert "no trial is complete yet" in told([replace(OWN, state="RUNNING", score=None)])
    assert "| Trials | none; at most 12 |" in told([])


def test_a_file_that_cannot_be_patched_gets_lines_to_write():
    text = told([OWN, BETTER], text="[training]\nhyperparameters = { seed = 1 }\n")

    assert "Write these lines into `[training.hyperparameters]`" in text
    assert "```toml\nlearning-rate = 4.1e-05\n```" in text


def test_cost_and_limits_are_told_when_there_is_a_price():
    priced = TuningOptions(dollars=5, dollars_per_hour=0.4).apply(NEWS, TrainingOptions())

    assert "| Cost | $0.20 at $0.4 per instance hour; at most $5.00 |" in told([OWN], config=priced)
    assert "| Time | 0.50 hours with jobs under way; at most 12 |" in told([OWN])
    assert "Cost" not in told([OWN])


def test_why_a_trial_ended_early_stands_below_the_table():
    failed = replace(BETTER, number=2, state="FAIL", score=None, note="Failed:\n  no memory")

    text = told([OWN, failed])

    assert "| 2 | failed | - | 4.1e-05 |" in text
    assert "- Trial 2, failed: Failed: no memory\n" in text
    assert baseline(NEWS, [failed]) is None
