"""A drift check as the page that people read in Prefect."""

import re
from collections.abc import Mapping, Sequence

from tasks.drift_records import Accuracy, Advice, DriftOutcome, DriftVerdict, Hurting

MARKS = {
    DriftOutcome.OK: "✅",
    DriftOutcome.SUSPECTED: "🟡",
    DriftOutcome.DETECTED: "🔴",
    DriftOutcome.NO_DATA: "❔",
    DriftOutcome.ERROR: "⚠️",
}
_SAID = {
    DriftOutcome.OK: "callers ask what the version was tested on",
    DriftOutcome.SUSPECTED: "something may have changed; the next check decides",
    DriftOutcome.DETECTED: "callers ask something else than the version was tested on",
    DriftOutcome.NO_DATA: "too little was logged to tell anything; that is not the same as OK",
    DriftOutcome.ERROR: "the check itself is broken; nothing is known about the texts",
}
_ADVICE = {
    "retrain": "retrain",
    "ask-for-labels": "send true labels to `POST /feedback`: whether it hurts cannot be told",
    "ignore": "nothing is to be done",
}
_HURTING = {"yes": "yes", "no": "no", "unknown": "cannot be told"}
_APART = re.compile(r"; (?![^()]*\))")  # not within parentheses
_QUOTED = 160  # characters of a text


def headline(verdict: DriftVerdict) -> str:
    """Outcome and score in one line, for the state of the run and the subject of a message."""
    if verdict.outcome is DriftOutcome.NO_DATA:
        return "; ".join(verdict.reasons) or _SAID[verdict.outcome]
    about = f"version {verdict.about.version}, {verdict.rows:,} answers"
    score = f"drift score {verdict.score:.3f}, p {verdict.p_value:.2g}"
    return f"{score} ({about}); {conclusion(verdict.hurting, verdict.advice)}"


def conclusion(hurting: Hurting, advice: Advice) -> str:
    """How every headline ends that has a score."""
    return f"hurting: {_HURTING[hurting]}; {advice}"


def page(
    verdict: DriftVerdict,
    links: Mapping[str, str] | None = None,
    kept: str = "",
    pictures: Sequence[str] = (),
) -> str:
    """Verdict and reasons, what was measured, what moved, what is new.

    `links` lead to the report, `kept` is the S3 folder that holds all of it.
    """
    about = verdict.about
    parts = [
        f"# {MARKS[verdict.outcome]} {about.classifier}: {verdict.outcome}",
        f"**{_SAID[verdict.outcome]}**",
        _facts(verdict),
        *_why(verdict),
        *_linked(links or {}, kept),
        *pictures,
        *(_signals(verdict) if verdict.signals else ()),
        *(_classes(verdict) if verdict.classes_moved else ()),
        *(_terms(verdict) if verdict.new_terms else ()),
        *(_novel(verdict) if verdict.novel else ()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(verdict: DriftVerdict) -> str:
    about = verdict.about
    facts = {
        "window": f"{about.since:%Y-%m-%d %H:%M} to {about.until:%Y-%m-%d %H:%M} UTC",
        "version": f"{about.version}, bundle `{about.bundle_digest[:12]}`" if about.version else "",
        "answers": f"{verdict.rows:,} logged, {verdict.different:,} different texts, against"
        f" {verdict.reference_rows:,} reference rows",
    }
    if verdict.signals:
        facts["drift score"] = (
            f"**{verdict.score:.3f}** of 1, p {verdict.p_value:.2g}, severity {verdict.severity}"
        )
    if verdict.reference_accuracy is not None:
        facts["accuracy when tested"] = f"{verdict.reference_accuracy:.3f}"
    if verdict.accuracy:
        facts["accuracy in the window"] = _accuracy(verdict.accuracy)
    if verdict.signals:
        facts["is it hurting?"] = _HURTING[verdict.hurting]
        facts["advice"] = f"**{_ADVICE[verdict.advice]}**"
    return "\n".join(f"- {name}: {told}" for name, told in facts.items() if told)


def _accuracy(found: Accuracy) -> str:
    known = {
        "feedback": f"from {found.rows:,} labels that came back",
        "confidence": f"estimated from the confidence of {found.rows:,} answers, without labels",
    }
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f}), {known[found.source]}"


def _why(verdict: DriftVerdict) -> list[str]:
    parts = [part for reason in verdict.reasons for part in _APART.split(reason)]
    return ["**Why**", "\n".join(f"- {part}" for part in parts)] if parts else []


def _linked(links: Mapping[str, str], kept: str) -> list[str]:
    lines = [f"- [{name}]({url})" for name, url in links.items()]
    lines += [f"- kept in `{kept}`"] if kept else []
    return ["**The whole of it**", "\n".join(lines)] if lines else []


def _signals(verdict: DriftVerdict) -> list[str]:
    rows = [
        f"| {one.name} | {one.effect:.3f} | {one.band:.3f} | {one.excess:.3f}"
        f" | {one.corrected_p:.2g} |"
        for one in verdict.signals
    ]
    names = "| signal | effect | chance | beyond chance | corrected p |"
    head = [names, "|---|---:|---:|---:|---:|"]
    told = (
        "Effects are in 0 to 1. 95 % of windows without drift stay below `chance`; the largest"
        " `beyond chance` is the drift score."
    )
    return ["## Signals", "\n".join([*head, *rows]), told]


def _classes(verdict: DriftVerdict) -> list[str]:
    rows = [
        f"| {_cell(one.label)} | {one.reference:.1%} | {one.window:.1%}"
        f" | {100 * (one.window - one.reference):+.1f} |"
        for one in verdict.classes_moved
    ]
    head = ["| predicted class | when tested | in the window | points |", "|---|---:|---:|---:|"]
    return ["## Classes that moved", "\n".join([*head, *rows])]


def _terms(verdict: DriftVerdict) -> list[str]:
    return ["## Words that are new", ", ".join(f"`{_code(one)}`" for one in verdict.new_terms)]


def _novel(verdict: DriftVerdict) -> list[str]:
    told = "The texts least like the reference, redacted as the log is:"
    return ["## Most novel texts", told, "\n".join(f"- `{_code(one)}`" for one in verdict.novel)]


def _code(text: str) -> str:
    """Callers wrote it: as code, markdown and links in it stay letters."""
    one_line = " ".join(text.split()).replace("`", "'")
    return one_line if len(one_line) <= _QUOTED else f"{one_line[: _QUOTED - 3]}..."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
