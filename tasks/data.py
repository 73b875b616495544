"""Steps that bring rows in: fetch, clean and split, write, report."""

import json
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.adapters import aws, hub, snapshots, sources
from tasks.adapters.sources import LocalFiles
from tasks.classifiers import Classifier
from tasks.classifiers import load as load_file
from tasks.errors import BadData
from tasks.policy import samples
from tasks.policy.cleaning import Source, clean
from tasks.policy.quality import page
from tasks.records import Snapshot
from tasks.retries import live
from training.formats import SnapshotManifest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Clean rows, packed as files in a folder of this machine, and the report on them."""

    folder: Path
    manifest: SnapshotManifest
    report: str


def workspace() -> TemporaryDirectory[str]:
    """A folder for the files of one run; gone with it."""
    return TemporaryDirectory(prefix="perennial-ingest-", ignore_cleanup_errors=True)


@task(cache_policy=NO_CACHE)
def load_classifier(name: str, folder: Path) -> Classifier:
    return load_file(name, folder)


@live(task_run_name="fetch {source}")
def fetch(chosen: Classifier, source: str, folder: str) -> LocalFiles:
    """Bring the source's files here; fetching twice is the same as once."""
    files, to = chosen.data.files, Path(folder)
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
    chosen: Classifier, source: str, fetched: LocalFiles, folder: str, sample_size: int | None
) -> Prepared:
    """Clean, split and pack the rows on this machine; raises BadData when they are bad."""
    data = chosen.data
    found = clean(
        _opened(fetched.train),
        _opened(fetched.test) if fetched.test else None,
        data.hub.files if fetched.jsonl else data.files,
        data,
        sample_size or data.sample_size,
    )
    files = {s: snapshots.pack(Path(folder), s, rows) for s, rows in found.rows.items()}
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
    )
    report = page(chosen, source, found.tallies, found.rows, found.notes)
    return Prepared(Path(folder), manifest, report)


@live
def write_snapshot(bucket: str, prepared: Prepared) -> Snapshot:
    """Put the rows into S3 and make them the latest; writing twice is the same as once."""
    s3 = aws.client("s3")
    snapshot = snapshots.write(s3, bucket, prepared.manifest, prepared.folder)
    snapshots.remember(s3, bucket, snapshot)
    done = "was there already, nothing uploaded" if snapshot.reused else "written"
    rows = ", ".join(f"{count:,} {split}" for split, count in snapshot.rows.items())
    log.info("snapshot %s (%s) %s", snapshot.uri, rows, done)
    return snapshot


@task(cache_policy=NO_CACHE)
def publish_report(prepared: Prepared, snapshot: Snapshot) -> None:
    """Show the data-quality report in Prefect."""
    state = "reused, nothing was uploaded" if snapshot.reused else "new"
    create_markdown_artifact(
        key=f"ingest-{snapshot.classifier}",
        markdown=f"{prepared.report}\n\n## Snapshot ({state})\n\n`{snapshot.uri}`",
        description=f"Data quality of {snapshot.classifier}",
    )


def _opened(path: Path) -> Source:
    return Source(path.name, partial(sources.lines, path))


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
    return LocalFiles(folder / "train.jsonl", folder / "test.jsonl", jsonl=True)
