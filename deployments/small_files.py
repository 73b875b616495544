"""The classifier files as a laptop wants them: a small base model, few rows, short steps.

A copy of `classifiers/` in which one file is changed and keeps its comments. Runs that nobody
asks for (a schedule, a drift) then train what the first one did.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table


def write(source: Path, folder: Path, name: str, changes: Mapping[str, Any]) -> bool:
    """Copy the files of `source` to `folder`; in `name` set `changes`, nested as the file is.

    Whether `name` is now what it was not before.
    """
    there = folder / f"{name}.toml"
    before = there.read_text("utf-8") if there.is_file() else None
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.toml"):
        shutil.copyfile(file, folder / file.name)
    document = tomlkit.parse(there.read_text("utf-8"))
    _set(document, changes)
    there.write_text(after := tomlkit.dumps(document), "utf-8")
    return after != before


def _set(table: tomlkit.TOMLDocument | Table, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(table.get(key), Table):
            _set(table[key], value)
        else:
            table[key] = value
