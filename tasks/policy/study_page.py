"""A study as the page that people read in Prefect."""

from collections.abc import Sequence

from tasks.classifiers import Classifier
from tasks.policy import budget, patches, tuning
from tasks.search import label
from tasks.trials import Standing, Study, Trial, TrialState

_WORDS: dict[TrialState, str] = {
    "COMPLETE": "complete",
    "PRUNED": "cut short",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
_NOTE_CHARS = 160


def standing(
    study: Study, file: Classifier, text: str, config: Classifier, trials: Sequence[Trial]
) -> Standing:
    """How the study stands against the classifier file as it is now."""
    best = tuning.winner(trials)
    changes = tuning.changes(file, config, best.values) if best else {}
    before = file.training.hyperparameters.model_dump(by_alias=True)
    return Standing(study, best, before, changes, patches.patch(study.classifier, text, changes))


def page(
    standing: Standing,
    config: Classifier,
    trials: Sequence[Trial],
    now_s: float,
    pictures: Sequence[str],
) -> str:
    """How the study stands, what to write into the file, both pictures, and every trial."""
    study = standing.study
    parts = [f"## {study.classifier}: {_headline(standing)}", ""]
    parts += [*_facts(study, config, trials, now_s), ""]
    if standing.changes:
        parts += [*_patch(standing), ""]
    for picture in pictures:
        parts += [picture, ""]
    return "\n".join([*parts, *_table(study, config, trials)]) + "\n"


def baseline(config: Classifier, trials: Sequence[Trial]) -> Trial | None:
    """The trial that tried what the classifier file has now."""
    values = tuning.values(config)
    return next((one for one in trials if one.state == "COMPLETE" and one.values == values), None)


def _headline(standing: Standing) -> str:
    if standing.winner is None:
        return "no trial is complete yet"
    if not standing.changes:
        return "nothing tried was better than the classifier file"
    return f"trial {standing.winner.number} is the best"


def _facts(study: Study, config: Classifier, trials: Sequence[Trial], now_s: float) -> list[str]:
    used, limits, best = budget.spent(trials, now_s, config), config.tuning, tuning.winner(trials)
    counts = {word: sum(one.state == state for one in trials) for state, word in _WORDS.items()}
    told = [f"{count} {word}" for word, count in counts.items() if count]
    rows = {"Trials": f"{', '.join(told) or 'none'}; at most {limits.trials}"}
    rows["Time"] = f"{used.hours:.2f} hours with jobs under way; at most {limits.hours:g}"
    if used.dollars is not None:
        most = "" if limits.dollars is None else f"; at most ${limits.dollars:.2f}"
        rows["Cost"] = (
            f"${used.dollars:.2f} at ${limits.dollars_per_hour:g} per instance hour{most}"
        )
    if best and best.score is not None:
        rows[f"Best {label(study.objective)}"] = f"{best.score:.4f}, trial {best.number}"
    if (now := baseline(config, trials)) and now.score is not None:
        rows["The file's values"] = f"{now.score:.4f}, trial {now.number}"
    rows["Snapshot"] = study.snapshot_sha256[:12]
    rows["Log"] = f"`{study.uri}`"
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _patch(standing: Standing) -> list[str]:
    before = standing.before
    rows = [f"| `{key}` | {before[key]} | {new} |" for key, new in standing.changes.items()]
    parts = ["| hyperparameter | in the file | best |", "|---|---:|---:|", *rows, ""]
    if not standing.patch:
        parts += ["Write these lines into `[training.hyperparameters]`:", ""]
        return [*parts, "```toml", patches.toml(standing.changes), "```"]
    classifier = standing.study.classifier
    parts += [
        f"Take it with `aws s3 cp {standing.study.patch_uri} - | git apply`, then run"
        f" `train/{classifier}` and `evaluate/{classifier}`: the scores here are of validation"
        " rows, the gate decides on the test rows, which no trial saw.",
        "",
    ]
    return [*parts, "```diff", standing.patch.rstrip("\n"), "```"]


def _table(study: Study, config: Classifier, trials: Sequence[Trial]) -> list[str]:
    keys = list(config.tuning.space)
    names = ["trial", "", label(study.objective), *(label(key) for key in keys), "minutes"]
    table = [f"| {' | '.join(names)} |", "|---:|---|" + "---:|" * (len(names) - 2)]
    for one in trials:
        score = "-" if one.score is None else f"{one.score:.4f}"
        minutes = f"{one.bill.billable_s / 60:.1f}" if one.bill else "-"
        values = [str(one.values.get(key, "-")) for key in keys]
        cells = [str(one.number), _WORDS[one.state], score, *values, minutes]
        table.append(f"| {' | '.join(cells)} |")
    notes = [
        f"- Trial {one.number}, {_WORDS[one.state]}: {' '.join(one.note.split())[:_NOTE_CHARS]}"
        for one in trials
        if one.note
    ]
    return [*table, "", *notes]
