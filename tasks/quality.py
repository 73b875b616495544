"""What the rows are like, as a page and a picture: in Prefect, and beside the snapshot in S3."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.adapters import aws, tokenizer
from tasks.classifiers import Classifier
from tasks.pictures import base
from tasks.pictures.quality import drawn
from tasks.policy.cleaning import Clean
from tasks.policy.quality import cut
from tasks.policy.quality_page import page
from tasks.records import Snapshot

PAGE, PICTURE = FILES = ("quality.md", "quality.png")
_TITLE = "Length of the texts and shares of the classes"
_LINK = f"![{_TITLE}]({PICTURE})"


def describe(chosen: Classifier, source: str, found: Clean, folder: Path) -> None:
    """Write the report's page and picture into `folder`."""
    options = chosen.training.hyperparameters
    counter = tokenizer.counter(aws.client("s3"), options.model_name, folder)
    cuts = cut(
        [text for text, _ in found.rows["train"]],
        options.model_name,
        options.max_length,
        counter.count if counter else None,
        counter.name if counter else "",
    )
    (folder / PICTURE).write_bytes(drawn(chosen.data.labels, found.rows, options.max_length))
    told = page(chosen, source, found, cuts, _LINK)
    (folder / PAGE).write_text(told, encoding="utf-8")


@task(cache_policy=NO_CACHE)
def publish_report(folder: Path, snapshot: Snapshot) -> None:
    """Show the data-quality report in Prefect."""
    state = "reused, nothing was uploaded" if snapshot.reused else "new"
    shown = base.shown(_TITLE, (folder / PICTURE).read_bytes())
    report = (folder / PAGE).read_text(encoding="utf-8").replace(_LINK, shown)
    create_markdown_artifact(
        key=f"ingest-{snapshot.classifier}",
        markdown=f"{report}\n\n## Snapshot ({state})\n\n`{snapshot.uri}`",
        description=f"Data quality of {snapshot.classifier}",
    )
