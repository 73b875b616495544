"""Steps that look at everything that is live, and at the monitor itself."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import prefect
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter, ValidationError

from tasks import alerts, classifiers, releases, targets
from tasks.adapters import aws, checks, gauges, marks, probes
from tasks.policy import health
from tasks.policy.health import Known, Look, Report, State
from tasks.records import Environment, Place, Served
from tasks.settings import Settings

log = logging.getLogger(__name__)

Memory = dict[str, Known]
_MEMORY = TypeAdapter(Memory)
_TIMEOUT_S = 5
_NAMESPACE = "Perennial/Health"
_LOOK_BACK = timedelta(days=2)  # for the last drift check: older is overdue all the same


def names(settings: Settings) -> tuple[str, ...]:
    return classifiers.names(settings.classifiers_dir)


@task(cache_policy=NO_CACHE, task_run_name="recall the last look")
def recall(settings: Settings) -> Memory:
    """What the last run knew. A note that is damaged is forgotten: people are told once more."""
    text = marks.read(aws.client("s3"), settings.models_bucket, _note(settings))
    try:
        return _MEMORY.validate_json(text or "{}")
    except ValidationError as error:
        log.warning("s3://%s/%s is damaged: %s", settings.models_bucket, _note(settings), error)
        return {}


@task(cache_policy=NO_CACHE, task_run_name="look at {classifier}")
def look_at(settings: Settings, classifier: str) -> tuple[Look, ...]:
    """How the classifier's place is for callers; nothing where nothing is live."""
    place, served = _live(settings, classifier)
    if served is None:
        return ()
    there = replace(place, target=served.target)
    client = partial(aws.client, timeout_s=_TIMEOUT_S)
    answer = targets.TARGETS[served.target].look(client, there, _TIMEOUT_S)
    again = f"prefect deployment run 'rollback/{classifier}'"
    return (health.judged(classifier, f"{place.prefix} on {served.target}", answer, again),)


@task(cache_policy=NO_CACHE, task_run_name="look at {url}")
def look_at_url(url: str) -> tuple[Look, ...]:
    """An endpoint of another environment, which has a monitor of its own: this one only asks."""
    return (health.judged(url, url, probes.look(url, _TIMEOUT_S), "make monitor"),)


@task(cache_policy=NO_CACHE, task_run_name="look for the drift check of {classifier}")
def look_for_check(settings: Settings, classifier: str, before: Memory) -> tuple[Look, ...]:
    """Whether what is live is checked for drift; nothing where nothing is."""
    _, served = _live(settings, classifier)
    if served is None:
        return ()
    now, name = datetime.now(UTC), f"drift-check {classifier}"
    s3 = aws.client("s3", timeout_s=_TIMEOUT_S)
    last = checks.last(s3, settings.models_bucket, classifier, now - _LOOK_BACK)
    where = f"s3://{settings.models_bucket}/drift/{classifier}/"
    again = f"prefect deployment run 'drift-check/{classifier}'"
    return (health.checked(name, where, last, before.get(name), now, again),)


def found(ended: Mapping[str, prefect.State[tuple[Look, ...]]]) -> tuple[Look, ...]:
    """What was found, also that a look was not possible."""
    looks: list[Look] = []
    for name, state in ended.items():
        if state.is_completed():
            looks += state.result()
        else:
            failed = f"it could not be looked at: {state.message}"
            looks.append(Look(name, name, State.UNKNOWN, failed, command="make monitor"))
    return tuple(looks)


def conclude(settings: Settings, before: Memory, looks: tuple[Look, ...]) -> Report:
    """Tell people what is news to them, show and remember the rest; then the heart beats once."""
    environment = Environment(
        settings.project, settings.environment, settings.alert_topic_arn, settings.models_bucket
    )
    now, rows, memory = datetime.now(UTC), [], {}
    for look in looks:
        known = health.after(before.get(look.name), look, now)
        said = health.news(known, look, now)
        if said and alerts.notify(
            environment, said.subject, said.message, said.command, said.about
        ):
            known = health.told(known, now)
        memory[look.name] = known
        rows.append((look, known.since))
    note = _MEMORY.dump_json(memory).decode()
    marks.write(aws.client("s3"), settings.models_bucket, _note(settings), note)
    report = Report(tuple(rows))
    log.info("%s", health.headline(report))
    create_markdown_artifact(
        key="health", markdown=health.page(report), description=health.headline(report)
    )
    _beat(settings, looks, now)
    return report


def _live(settings: Settings, classifier: str) -> tuple[Place, Served | None]:
    chosen = classifiers.load(classifier, settings.classifiers_dir)
    place = targets.place_of(settings, chosen, None)
    release = releases.read_release.with_options(retries=0)(place)
    return place, release.champion if release else None


def _beat(settings: Settings, looks: tuple[Look, ...], now: datetime) -> None:
    """CloudWatch alarms when this stops: the last word when neither worker nor Prefect is left.

    It also learns which requests were ours: nobody else's for half an hour is an alarm too.
    """
    cloudwatch, mine = aws.client("cloudwatch"), {"Environment": settings.environment}
    gauges.put(cloudwatch, _NAMESPACE, {"Heartbeat": 1}, mine, now)
    for name in names(settings):
        if any(look.name == name and look.latency_ms is not None for look in looks):
            gauges.put(cloudwatch, _NAMESPACE, {"Probes": 1}, {"Classifier": name, **mine}, now)


def _note(settings: Settings) -> str:
    return f"health/{settings.environment}/memory.json"
