"""Steps that write decisions into the ledger: who, what, why, with which evidence."""

from datetime import UTC, datetime

from prefect.runtime import flow_run

from tasks.adapters import aws, ledger
from tasks.policy import history, releases
from tasks.records import Entry, Place, Release, Served
from tasks.retries import live


def holder() -> str:
    """This attempt of this flow run; what the journal and the ledger call it."""
    return f"flow run {flow_run.id} attempt {flow_run.run_count}"


@live
def record_start(place: Place, release: Release, wanted: Served, why: str) -> str:
    """Who starts this release and why it may go out; an override's reason stands here."""
    record, _ = append(
        place, "started", release.op_id, wanted, why, {"replaces": _version(release.champion)}
    )
    return f"ledger record {record.seq}"


@live
def record_released(place: Place, release: Release, wanted: Served, why: str) -> bool:
    """Write the commit into the ledger, once; whether it was not there yet."""
    if release.state != releases.LIVE or release.going_back:
        return False  # the journal's last operation was another release, or a rollback
    evidence = {"generation": str(release.generation), "replaced": _version(release.previous)}
    return append(place, "released", release.op_id, wanted, why, evidence)[1]


@live
def record_returning(place: Place, release: Release, wanted: Served, why: str) -> str:
    """Who goes back to this version and why, before anything is touched."""
    left = {"from": _version(release.champion)}
    record, _ = append(place, history.RETURNING, release.op_id, wanted, why, left)
    return f"ledger record {record.seq}"


@live
def record_returned(
    place: Place, release: Release, undone: Release | None, wanted: Served, left: str, why: str
) -> bool:
    """Write into the ledger, once, what serves again instead of `left`; whether it was new."""
    if (ended := history.ended(release, undone)) is None:
        return False
    evidence = {"generation": str(release.generation), "from": left}
    return append(place, history.RETURNED, ended.op_id, wanted, why, evidence)[1]


def record_end(place: Place, release: Release, wanted: Served, begun: Entry | None) -> bool:
    """Say for a run that died after its commit what it would have said."""
    why = begun.reason if begun else "its run ended early"
    if release.going_back:
        left = begun.evidence.get("from", "nothing") if begun else "nothing"
        return record_returned(place, release, None, wanted, left, why)
    return record_released(place, release, wanted, why)


def record_retrain(
    place: Place, action: str, op_id: str, version: str, why: str, evidence: dict[str, str]
) -> None:
    """Write a decision about a retrain down, once.

    In a ledger of its own: what looks after releases reads only the newest records of theirs.
    """
    at, s3 = datetime.now(UTC).isoformat(timespec="seconds"), aws.client("s3")
    entry = Entry(at, holder(), action, place.classifier, version, why, op_id, evidence)
    ledger.append(s3, place.models_bucket, f"retrain/{place.classifier}/ledger", entry)


def append(
    place: Place, action: str, op_id: str, wanted: Served, reason: str, evidence: dict[str, str]
) -> tuple[ledger.Record, bool]:
    entry = Entry(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        actor=holder(),
        action=action,
        classifier=place.classifier,
        version=wanted.version,
        reason=reason,
        op_id=op_id,
        evidence={
            "bundle": wanted.bundle_digest,
            "uri": wanted.bundle_uri,
            "target": wanted.target,
            **evidence,
        },
    )
    folder = f"{place.releases}/ledger"
    record = ledger.append(aws.client("s3"), place.models_bucket, folder, entry)
    return record, record.entry == entry


def _version(served: Served | None) -> str:
    return served.version if served else "nothing"
