"""Put one model version in front of callers, or leave everything as it was."""

import sys
from contextlib import ExitStack
from typing import Literal

from prefect import flow
from pydantic import BaseModel, Field

from tasks import alerts, decisions, releases, rollout, targets
from tasks.classifiers import Target
from tasks.data import load_classifier
from tasks.records import Place, Release, Served
from tasks.settings import Settings


class RolloutPlan(BaseModel, frozen=True):
    """Where to, and how carefully."""

    target: Target | None = Field(None, description="Empty: the target of the classifier file")
    strategy: Literal["all-at-once"] = "all-at-once"
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
    model = releases.choose_version(settings.mlflow_tracking_uri, chosen.registered_model, version)
    wanted = Served(model.version, model.bundle_uri, model.bundle_digest, place.target)
    golden = rollout.golden_texts(place, settings.data_bucket, model.snapshot_sha256)
    verdict = releases.read_verdict(place, wanted)
    why = releases.check_verdict(verdict, wanted, plan.override_reason)
    told = {"version": f"{wanted.version}, bundle {wanted.bundle_digest[:12]}", "allowed": why}
    standing = releases.read_release(place)
    release = rollout.answers_already(place, standing, wanted, golden) or _go_live(
        place, wanted, golden, chosen.data.labels, told
    )
    releases.converge_aliases(settings.mlflow_tracking_uri, chosen.registered_model, release)
    told["retired"] = rollout.retire_old(place, wanted, release.op_id)
    told["address"] = rollout.address(place)
    title = f"{classifier} version {wanted.version} serves on {place.target}"
    if decisions.record_released(place, release, wanted, why):
        alerts.notify(place, title, told["address"])
    alerts.publish_steps(f"deploy-{classifier}", title, told)
    return wanted


def _go_live(
    place: Place,
    wanted: Served,
    golden: rollout.GoldenTexts,
    labels: tuple[str, ...],
    told: dict[str, str],
) -> Release:
    release = releases.claim_release(place, wanted, decisions.holder())
    with ExitStack() as undo:
        undo.push(rollout.on_failure(alerts.tell_failure, place, wanted, told))
        undo.push(rollout.on_failure(releases.reopen_release, place, release))
        told["recorded"] = decisions.record_start(place, release, wanted, told["allowed"])
        told["verified"] = releases.verify_bundle(wanted, labels)
        undo.push(rollout.on_failure(rollout.restore_traffic, place, release, wanted))
        told["prepared"] = rollout.prepare_place(place, wanted, release.op_id)
        told["started"] = rollout.stage(place, wanted, release.op_id)
        told["smoke test"] = rollout.smoke_test(place, wanted, release.op_id, golden, labels)
        release = releases.begin_switch(place, release)
        told["switched"] = rollout.switch(place, wanted, release.op_id)
        told["proved"] = rollout.prove(place, wanted, golden)
        release = releases.commit_release(place, release)
        undo.pop_all()
    return release


if __name__ == "__main__":
    deploy(sys.argv[1])
