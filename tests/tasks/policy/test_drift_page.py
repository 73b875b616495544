from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tasks.drift_records import Accuracy, Checked, DriftOutcome, DriftVerdict, Moved, Signal
from tasks.policy.drift_news import command, is_news, message
from tasks.policy.drift_page import headline, page

UNTIL = datetime(2026, 11, 21, 18, tzinfo=UTC)
ABOUT = Checked("news", "7", "d" * 64, UNTIL - timedelta(hours=24), UNTIL)
DRIFT = DriftVerdict(
    DriftOutcome.DETECTED,
    ABOUT,
    rows=1200,
    different=1100,
    reference_rows=2000,
    score=0.31,
    p_value=0.0001,
    severity="high",
    signals=(Signal("tokens", 0.4, 0.09, 0.00001, 0.0001),),
    classes_moved=(Moved("Sci/Tech | Web", 0.25, 0.6),),
    reference_accuracy=0.91,
    accuracy=Accuracy(0.8, 0.75, 0.85, 400, "feedback"),
    hurting="yes",
    advice="retrain",
    reasons=("tokens: effect 0.400; predicted label: effect 0.350", "accuracy 80% (75%; 400 rows)"),
    new_terms=("dividend",),
    novel=("see `here` [me](http://evil)\n# now " + 200 * "x",),
)


def later(hours, **changes):
    until = UNTIL + timedelta(hours=hours)
    return replace(DRIFT, about=replace(ABOUT, until=until), **changes)


def test_the_page_says_what_was_found_why_and_what_to_do():
    told = page(DRIFT, {"Evidently's report in MLflow": "http://mlflow/1"}, "s3://models/drift")

    for part in (
        "# 🔴 news: DETECTED",
        "- answers: 1,200 logged, 1,100 different texts, against 2,000 reference rows",
        "- drift score: **0.310** of 1, p 0.0001, severity high",
        "- accuracy when tested: 0.910",
        "- accuracy in the window: 0.800 (0.750 to 0.850), from 400 labels that came back",
        "- is it hurting?: yes",
        "- advice: **retrain**",
        "- [Evidently's report in MLflow](http://mlflow/1)",
        "- kept in `s3://models/drift`",
        "**Why**\n\n- tokens: effect 0.400\n- predicted label: effect 0.350\n- accuracy 80% (75%;",
        "| tokens | 0.400 | 0.090 | 0.310 | 0.0001 |",
        "| Sci/Tech \\| Web | 25.0% | 60.0% | +35.0 |",
        "`dividend`",
    ):
        assert part in told


def test_what_callers_wrote_stays_text():
    (line,) = [one for one in page(DRIFT).splitlines() if "evil" in one]

    assert line.startswith("- `see 'here' [me](http://evil) # now xxx")
    assert line.endswith("...`")
    assert len(line) < 170


def test_no_data_is_not_called_well():
    empty = replace(
        DriftVerdict(DriftOutcome.NO_DATA, ABOUT, 3, 3, 2000), reasons=("3 different texts",)
    )

    told = page(empty)

    assert "not the same as OK" in told
    assert headline(empty) == "3 different texts"
    assert "score" not in told
    assert "hurting" not in told


def test_people_hear_of_new_drift_at_once_of_old_drift_once_a_day_and_of_nothing_else():
    calm = later(0, outcome=DriftOutcome.OK)

    assert is_news(DRIFT, ())
    assert is_news(later(1), (calm,))
    assert not is_news(later(1), (calm, DRIFT))
    assert is_news(later(6), (DRIFT,))
    assert is_news(later(1, advice="ignore"), (DRIFT,))
    assert is_news(later(1), (replace(DRIFT, about=replace(ABOUT, bundle_digest="e" * 64)),))
    for outcome in set(DriftOutcome) - {DriftOutcome.DETECTED}:
        assert not is_news(later(1, outcome=outcome), ())


def test_the_message_says_what_happens_now_and_how_to_have_it_otherwise():
    harmless = replace(DRIFT, advice="ignore", hurting="no")

    assert "A retrain was asked for" in message(DRIFT)
    assert command(DRIFT) == ""
    assert "nothing is retrained" in message(harmless)
    assert command(harmless) == "prefect deployment run 'pipeline/news'"
