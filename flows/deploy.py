"""Put one model version in front of callers, or leave everything as it was."""

import sys
from contextlib import ExitStack
from typing import NamedTuple

from prefect import flow
from pydantic import BaseModel, Field

from tasks import (
    alerts,
    approvals,
    decisions,
    history,
    monitoring,
    observation,
    releases,
    replay,
    rollout,
    targets,
)
from tasks.classifiers import Classifier, Target
from tasks.data import load_classifier
from tasks.errors import OldSideDown
from tasks.policy.watch import Look, Move
from tasks.records import ModelVersion, Place, Release, Served
from tasks.settings import Settings
from tasks.strategy import AT_ONCE, Rollout

_GOLDEN = 500  # rows of the test split, for the smoke test and for probes

_NO_LOOKS: tuple[Look, ...] = ()


class RolloutPlan(BaseModel, frozen=True):
    """Where to, and how carefully."""

    target: Target | None = Field(None, description="Empty: the target of the classifier file")
    rollout: Rollout | None = Field(None, description="Empty: [rollout] of the classifier file")
    override_reason: str = Field(
        "",
        description="Why it goes out without PASS, for the flow deploy alone; kept in the ledger",
    )


@flow(name="deploy", flow_run_name="deploy {classifier}")
def deploy(
    classifier: str, version: str | None = None, plan: RolloutPlan = RolloutPlan()
) -> Served:
    """Release a version that passed, and prove that it answers; any failure puts all back.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        version: A registered version. Empty: the challenger.
        plan: Where to, and how carefully.
    """
    settings = Settings()
    chosen = load_classifier(classifier, settings.classifiers_dir)
    place = targets.place_of(settings, chosen, plan.target)
    mlflow_uri = settings.mlflow_tracking_uri
    model = releases.choose_version(mlflow_uri, chosen.registered_model, version)
    wanted = Served(model.version, model.bundle_uri, model.bundle_digest, place.target)
    golden = rollout.golden_texts(place, settings.data_bucket, model.snapshot_sha256, _GOLDEN)
    verdict = releases.read_verdict(place, wanted)
    why = releases.check_verdict(verdict, wanted, plan.override_reason)
    told = {"version": f"{wanted.version}, bundle {wanted.bundle_digest[:12]}", "allowed": why}
    going = _Going(settings, chosen, place, model, wanted, golden, plan.rollout or chosen.rollout)
    standing = releases.read_release(place)
    release = rollout.answers_already(place, standing, wanted, golden) or _go_live(going, told)
    new = decisions.record_released(place, release, wanted, told.get("let out", why))
    told["registry"] = history.tell_registry(place, mlflow_uri, chosen.registered_model, release)
    told["retired"] = rollout.retire_old(place, wanted, release.op_id)
    told["watched"] = monitoring.ensure_alarms(place, chosen)
    told["address"] = rollout.address(place)
    title = f"{classifier} version {wanted.version} serves on {place.target}"
    if new:
        message = f"{why}. It answers at {told['address']}."
        alerts.notify(place, title, message, about=release.op_id)
    alerts.publish_steps(f"deploy-{classifier}", title, told)
    history.publish_history(place)
    return wanted


class _Going(NamedTuple):
    """A release on its way: what goes where, how, and what it is asked."""

    settings: Settings
    chosen: Classifier
    place: Place
    model: ModelVersion
    wanted: Served
    golden: rollout.GoldenTexts
    plan: Rollout


def _go_live(going: _Going, told: dict[str, str]) -> Release:
    place, wanted, labels = going.place, going.wanted, going.chosen.data.labels
    release = releases.claim_release(place, wanted, decisions.holder())
    with ExitStack() as undo:
        undo.callback(history.publish_history, place)  # comes last: the release was taken back
        undo.push(rollout.on_failure(alerts.tell_failure, place, wanted, told))
        # Where the old side is down, traffic stays on the new one: reconcile looks after it.
        undo.push(rollout.on_failure(releases.reopen_release, place, release, unless=OldSideDown))
        told["recorded"] = decisions.record_start(place, release, wanted, told["allowed"])
        told["verified"] = releases.verify_bundle(wanted, labels)
        undo.push(rollout.on_failure(rollout.restore_traffic, place, release, wanted))
        told["prepared"] = rollout.prepare_place(place, wanted, release.op_id)
        told["started"] = rollout.stage(place, wanted, release.op_id)
        told["smoke test"] = rollout.smoke_test(
            place,
            wanted,
            release.op_id,
            going.golden,
            labels,
            going.model.run_id,
            going.settings.mlflow_tracking_uri,
            going.chosen.serving.smoke_p50_ms,
        )
        release = _replay(going, release, told)
        release = releases.renew_release(place, release, approvals.minutes(going.settings))
        told["let out"] = approvals.ask(going.settings, wanted, told["allowed"])
        release = releases.commit_release(place, _move_callers(going, release, told))
        undo.pop_all()
    return release


def _replay(going: _Going, release: Release, told: dict[str, str]) -> Release:
    """Where callers move all at once, what they asked before is asked again beforehand."""
    place, chosen, plan = going.place, going.chosen, going.plan
    if place.target in targets.UNDIVIDED and release.champion and plan.strategy != "all-at-once":
        latency, least = (
            chosen.alarms.serverless_latency_ms,
            chosen.serving.serverless_min_agreement,
        )
        release, told["replayed"] = replay.replay(
            place, release, going.wanted, plan, going.golden, latency, least
        )
    return release


def _move_callers(going: _Going, release: Release, told: dict[str, str]) -> Release:
    """Step by step, each judged before the next; at once where nothing served before."""
    place, wanted, golden = going.place, going.wanted, going.golden
    beside = release.champion is not None and release.champion.target == place.target
    beside = beside and place.target not in targets.UNDIVIDED
    plan, looks = going.plan if beside else AT_ONCE, _NO_LOOKS
    release = releases.begin_switch(place, release)
    observation.let_minute_end(plan)
    for step in plan.watched:
        told[f"{step.percent} %"] = rollout.shift(place, wanted, release.op_id, step.percent)
        release, looks = observation.observe(place, release, wanted, step, plan, golden, looks)
        if looks[-1].move is Move.TAKE_ALL:
            break
    told["switched"] = rollout.switch(place, wanted, release.op_id)
    told["proved"] = rollout.prove(place, wanted, golden)
    if plan.bake:
        release, _ = observation.observe(place, release, wanted, plan.bake, plan, golden, looks)
    return release


if __name__ == "__main__":
    deploy(sys.argv[1])
