"""Put a version that served well before back in front of callers."""

import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

from prefect import flow

from tasks import (
    alerts,
    decisions,
    history,
    monitoring,
    own_server,
    releases,
    returning,
    rollout,
    targets,
)
from tasks.classifiers import Target
from tasks.data import load_classifier
from tasks.errors import OldSideDown
from tasks.policy.history import Past, in_the_way, left_behind, previous_after, untried
from tasks.records import Place, Release, Served
from tasks.settings import Settings

PROBES = (("Is anybody there?", ""),)
MANY = 20  # answers, so that a target which is half switched does not look whole


@flow(name="rollback", flow_run_name="rollback {classifier}")
def rollback(
    classifier: str,
    version: str | None = None,
    as_of: datetime | None = None,
    reason: str = "",
    target: Target | None = None,
) -> Served:
    """Go back to a former champion and prove that it answers; needs no verdict and no registry.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        version: A former champion. Empty: undo the last change, once.
        as_of: Instead of a version: what was champion then (UTC unless it names a zone).
        reason: Why; kept in the ledger.
        target: Empty: where the champion serves.
    """
    settings = Settings()
    chosen = load_classifier(classifier, settings.classifiers_dir)
    model, mlflow_uri = chosen.registered_model, settings.mlflow_tracking_uri
    place = targets.place_of(settings, chosen, target)
    past = returning.read_past(place)
    wanted = returning.find_version(place, past, version, as_of, target, mlflow_uri, model)
    place, left = replace(place, target=wanted.target), left_behind(past, wanted)
    why = f"rollback from version {left}: {reason or 'no reason given'}"
    told = {"version": f"{wanted.version}, bundle {wanted.bundle_digest[:12]}", "why": why}
    undone = _undo_unfinished(place, past, wanted, why, told)
    standing = releases.read_release(place)
    release = rollout.answers_already(place, standing, wanted, PROBES, MANY) or _go_back(
        place, past, wanted, settings.data_bucket, why, told
    )
    new = decisions.record_returned(place, release, undone, wanted, left, why)
    told["registry"] = history.tell_registry(place, mlflow_uri, model, release)
    told["retired"] = rollout.retire_old(place, wanted, release.op_id)
    told["watched"] = monitoring.ensure_alarms(place, chosen)
    told["address"] = rollout.address(place)
    title = f"{classifier} is back at version {wanted.version} on {place.target}"
    if new:
        message = f"{why}. It answers at {told['address']}."
        alerts.notify(place, title, message, about=release.op_id)
    else:
        told["found"] = "it was champion and answered already: nothing was to be done"
    alerts.publish_steps(f"rollback-{classifier}", title, told)
    history.publish_history(place)
    return wanted


def _undo_unfinished(
    place: Place, past: Past, wanted: Served, why: str, told: dict[str, str]
) -> Release | None:
    """Take back what another run has begun; None when there is nothing of that kind."""
    if (other := in_the_way(past, wanted)) is None:
        return None
    if taken := releases.take_over(place, other.op_id, decisions.holder()):
        told["undone"] = returning.put_back(place, taken, why)
    return taken


def _go_back(
    place: Place, past: Past, wanted: Served, data_bucket: str, why: str, told: dict[str, str]
) -> Release:
    with ExitStack() as undo:
        undo.push(rollout.on_failure(returning.tell_failure, place, wanted, told))
        bundle = returning.verify_bundle(place, past, wanted)
        release = releases.claim_release(place, wanted, decisions.holder(), going_back=True)
        # Where the old side is down, traffic stays on the new one: reconcile looks after it.
        undo.push(rollout.on_failure(releases.reopen_release, place, release, unless=OldSideDown))
        told["recorded"] = decisions.record_returning(place, release, wanted, why)
        undo.push(rollout.on_failure(rollout.restore_traffic, place, release, wanted))
        warm = not untried(past, wanted) and rollout.is_warm(place, wanted, release.op_id)
        if not warm:
            told["prepared"] = rollout.prepare_place(place, wanted, release.op_id)
        if not (warm and place.target in targets.UNDIVIDED):
            told["started"] = rollout.stage(place, wanted, release.op_id)
        if not warm:
            golden = rollout.golden_texts(place, data_bucket, bundle.snapshot_sha256)
            op_id, labels = release.op_id, bundle.labels
            told["smoke test"] = rollout.smoke_test(place, wanted, op_id, golden, labels)
        release = releases.begin_switch(place, release)
        told["switched"] = rollout.switch(place, wanted, release.op_id)
        told["proved"] = rollout.prove(place, wanted, PROBES)
        release = releases.commit_return(place, release, previous_after(past, wanted))
        undo.pop_all()
    return release


if __name__ == "__main__":
    with own_server.when_needed():
        rollback(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
