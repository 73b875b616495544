"""Prometheus' own checkers, which come with Debian's packages and not with Python's."""

import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

_PACKAGES = {"amtool": "prometheus-alertmanager"}


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is missing."""
    if not (found := shutil.which(name)):
        package = _PACKAGES.get(name, "prometheus")
        pytest.skip(f"{name} is missing: apt-get install {package}, or as .ci/run does")
    return found


def told(tool: str, *arguments: str | Path, text: str | None = None) -> tuple[int, str]:
    """Exit code of the tool and all that it printed."""
    done = subprocess.run(
        [program(tool), *map(str, arguments)],
        **({"input": text} if text is not None else {"stdin": subprocess.DEVNULL}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Values of one name by the values of their labels, in the order of the labels' names."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }
