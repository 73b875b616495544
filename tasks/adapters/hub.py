"""Data sets of the Hugging Face hub, streamed to JSON-lines files."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import constants

from tasks.adapters.sources import LocalFiles
from tasks.classifiers import Files
from tasks.errors import BadData

_ADVICE = "give source= a local folder, s3://BUCKET/PREFIX or sample://NAME"


def from_hub(source: str, shape: Files, folder: Path) -> LocalFiles:
    """The columns of a hub data set's train and test splits as files; bounded when it is away."""
    name = source.removeprefix("hub://")
    _reachable(source, name)
    train = _written(source, name, shape.train, shape.columns, folder)
    test = shape.test and _written(source, name, shape.test, shape.columns, folder)
    return LocalFiles(folder, (train,), (test,) if test else (), jsonl=True)


def _reachable(source: str, name: str) -> None:
    """Ask once, because the hub's own client tries again for minutes."""
    url = f"{constants.ENDPOINT}/api/datasets/{name}"
    try:
        answer = httpx.get(url, timeout=10, follow_redirects=True)
    except httpx.TransportError as error:
        detail = f"{constants.ENDPOINT} cannot be reached ({error}); {_ADVICE}"
        raise BadData(source, None, "hub_unreachable", detail) from error
    if answer.is_error:
        detail = f"{url} answered {answer.status_code}: no such public data set; {_ADVICE}"
        raise BadData(source, None, "not_on_hub", detail)


def _written(source: str, name: str, split: str, columns: tuple[str, ...], folder: Path) -> str:
    file = f"{split}.jsonl"
    with (folder / file).open("w", encoding="utf-8") as written:
        for row in _picked(source, stream(name, split), columns):
            written.write(json.dumps(row) + "\n")
    return file


def _picked(
    source: str, rows: Iterable[dict[str, Any]], columns: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        if missing := [column for column in columns if column not in row]:
            detail = f"no column {missing}; there are {sorted(row)}: mend data.hub in the file"
            raise BadData(source, None, "bad_header", detail)
        yield {column: row[column] for column in columns}


def stream(name: str, split: str) -> Iterable[dict[str, Any]]:
    """The rows of one split as they arrive."""
    import datasets  # here, because it takes 6 s and only this source needs it

    datasets.config.STREAMING_READ_MAX_RETRIES = 3
    # No revision: what the hub has today is what is asked for; the snapshot's hash pins it.
    rows = datasets.load_dataset(name, split=split, streaming=True)  # nosec B615
    found: Iterable[dict[str, Any]] = rows
    return found
