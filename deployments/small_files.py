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


def write(source: Path, folder: Path, name: str, changes: Mapping[str, Any]) -> None:
    """Copy the files of `source` to `folder`; in `name` set `changes`, nested as the file is."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.toml"):
        shutil.copyfile(file, folder / file.name)
    file = folder / f"{name}.toml"
    document = tomlkit.parse(file.read_text("utf-8"))
    _set(document, changes)
    file.write_text(tomlkit.dumps(document), "utf-8")


def _set(table: tomlkit.TOMLDocument | Table, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(table.get(key), Table):
            _set(table[key], value)
        else:
            table[key] = value
