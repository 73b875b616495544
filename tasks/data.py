"""Steps that bring rows in: fetch, clean and split, write, report."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import quality
from tasks.adapters import aws, hub, snapshots, sources
from tasks.adapters.sources import LocalFiles
from tasks.classifiers import Classifier
from tasks.classifiers import load as load_file
from tasks.errors import BadData
from tasks.feedback import Gathered
from tasks.policy import samples
from tasks.policy.cleaning import Clean, Source, clean
from tasks.records import Snapshot
from tasks.retries import live
from training.formats import FeedbackRows, SnapshotManifest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Clean rows, packed as files in a folder of this machine beside the report on them."""

    folder: Path
    manifest: SnapshotManifest


def workspace() -> TemporaryDirectory[str]:
    """A folder for the files of one run; gone with it."""
    return TemporaryDirectory(prefix="perennial-ingest-", ignore_cleanup_errors=True)


@task(cache_policy=NO_CACHE)
def load_classifier(name: str, folder: Path) -> Classifier:
    return load_file(name, folder)


@live(task_run_name="fetch {source}")
def fetch(chosen: Classifier, source: str, folder: str) -> LocalFiles:
    """Bring the source's files here; fetching twice is the same as once."""
    files, to = chosen.data.files, Path(folder) / "source"
    to.mkdir(exist_ok=True)
    match source.partition("://")[0] if "://" in source else "":
        case "sample":
            return _sampled(chosen, source, to)
        case "hub":
            return hub.from_hub(source, chosen.data.hub.files, to)
        case "s3":
            return sources.from_s3(aws.client("s3"), source, files.train, files.test, to)
        case "http" | "https":
            return sources.from_web(source, to)
        case "":
            return sources.from_local(source, files.train, files.test)
        case other:
            known = "a local path, s3://, http(s)://, hub:// or sample://"
            raise BadData(source, None, "bad_source", f"{other}:// is none of {known}")


@task(cache_policy=NO_CACHE)
def prepare(
    chosen: Classifier,
    source: str,
    fetched: LocalFiles,
    folder: str,
    sample_size: int | None,
    feedback: Gathered | None = None,
) -> Prepared:
    """Clean, split and pack the rows on this machine; raises BadData when they are bad."""
    data, packed = chosen.data, Path(folder)
    found = clean(
        _opened(fetched, fetched.train),
        _opened(fetched, fetched.test),
        data.hub.files if fetched.jsonl else data.files,
        data,
        sample_size or data.sample_size,
        Source(feedback.file.name, partial(sources.lines, feedback.file)) if feedback else None,
    )
    files = {split: snapshots.pack(packed, split, rows) for split, rows in found.rows.items()}
    dropped: dict[str, int] = {}
    for tally in found.tallies:
        log.info("%s: %d rows read, dropped: %s", tally.file, tally.rows, tally.told() or "none")
        for reason, count in tally.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    manifest = SnapshotManifest(
        classifier=chosen.name,
        sha256=snapshots.content_sha256(data.labels, files),
        labels=data.labels,
        files=files,
        source=source,
        rows_read=sum(tally.rows for tally in found.tallies),
        dropped=dropped,
        feedback=_lineage(feedback, found) if feedback else None,
    )
    quality.describe(chosen, source, found, packed)
    return Prepared(packed, manifest)


@live
def write_snapshot(bucket: str, prepared: Prepared) -> Snapshot:
    """Put the rows into S3 and make them the latest; writing twice is the same as once."""
    s3 = aws.client("s3")
    snapshot = snapshots.write(s3, bucket, prepared.manifest, prepared.folder, quality.FILES)
    snapshots.remember(s3, bucket, snapshot)
    done = "was there already, nothing uploaded" if snapshot.reused else "written"
    rows = ", ".join(f"{count:,} {split}" for split, count in snapshot.rows.items())
    log.info("snapshot %s (%s) %s", snapshot.uri, rows, done)
    return snapshot


def _lineage(feedback: Gathered, found: Clean) -> FeedbackRows:
    return FeedbackRows(
        since=feedback.window.since,
        until=feedback.window.until,
        labels=feedback.labels,
        rows={split: len(rows) for split, rows in found.fresh.items()},
    )


def _opened(fetched: LocalFiles, names: Iterable[str]) -> list[Source]:
    return [Source(name, partial(sources.lines, fetched.folder / name)) for name in names]


def _sampled(chosen: Classifier, source: str, folder: Path) -> LocalFiles:
    asked = samples.asked(source)
    if asked.name != chosen.name:
        detail = f"holds the classes of {asked.name}; use sample://{chosen.name}"
        raise BadData(source, None, "bad_source", detail)
    shape = chosen.data.hub
    for part, rows in (("train", asked.rows), ("test", max(asked.rows // 4, 40))):
        with (folder / f"{part}.jsonl").open("w", encoding="utf-8") as written:
            for text, label in samples.generate(asked, rows, part):
                row = {**dict.fromkeys(shape.text, ""), shape.text[-1]: text, shape.label: label}
                written.write(json.dumps(row) + "\n")
    return LocalFiles(folder, ("train.jsonl",), ("test.jsonl",), jsonl=True)
