"""A classifier file with other hyperparameters, as a patch that `git apply` takes."""

import difflib
import re
import tomllib
from collections.abc import Mapping

from tasks.search import Value

_SECTION = "[training.hyperparameters]"


def toml(values: Mapping[str, Value]) -> str:
    """The values as the lines of a classifier file."""
    return "\n".join(f"{key} = {_written(value)}" for key, value in values.items())


def patch(name: str, text: str, values: Mapping[str, Value]) -> str:
    """The unified diff that gives classifiers/`name`.toml these hyperparameters.

    Comments and all other lines stay. Empty when nothing changes, and also when the file is
    written in a way that cannot be edited line by line: `toml` then says what to write.
    """
    edited = _edited(text, values)
    if not _says(edited, values):
        return ""
    path = f"classifiers/{name}.toml"
    lines = difflib.unified_diff(
        text.splitlines(keepends=True),
        edited.splitlines(keepends=True),
        f"a/{path}",
        f"b/{path}",
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _edited(text: str, values: Mapping[str, Value]) -> str:
    lines = text.splitlines(keepends=True)
    starts = [at for at, line in enumerate(lines) if line.split("#")[0].strip() == _SECTION]
    if not starts:
        gap = "" if text.endswith("\n") else "\n"
        return f"{text}{gap}\n{_SECTION}\n{toml(values)}\n"
    first = starts[0] + 1
    after = [at for at in range(first, len(lines)) if lines[at].lstrip().startswith("[")]
    last = after[0] if after else len(lines)
    body, missing = lines[first:last], dict(values)
    for at, line in enumerate(body):
        if (found := _LINE.match(line)) and (key := found["key"].replace("_", "-")) in missing:
            value = missing.pop(key)
            if not _says(f"{_SECTION}\n{line}", {key: value}):
                body[at] = f"{found['front']}{_written(value)}{found['rest']}"
    if missing:
        at = max((n + 1 for n, line in enumerate(body) if line.strip()), default=0)
        before = body[:at]
        if before and not before[-1].endswith("\n"):
            before[-1] += "\n"
        body = [*before, f"{toml(missing)}\n", *body[at:]]
    return "".join([*lines[:first], *body, *lines[last:]])


_LINE = re.compile(
    r"(?P<front>\s*[\"']?(?P<key>[A-Za-z_-]+)[\"']?\s*=\s*)"
    r"(?:\"[^\"]*\"|'[^']*'|[^\s#]+)(?P<rest>\s*(?:#.*)?\r?\n?)$"
)


def _says(text: str, values: Mapping[str, Value]) -> bool:
    try:
        found = tomllib.loads(text).get("training", {}).get("hyperparameters", {})
    except tomllib.TOMLDecodeError:
        return False
    said = {key.replace("_", "-"): value for key, value in found.items()}
    return all(said.get(key) == value for key, value in values.items())


def _written(value: Value) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)
