"""Prometheus' own checkers, which come with Debian's packages and not with Python's."""

import shutil
import subprocess
from pathlib import Path

import pytest

_PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}


def told(tool: str, *arguments: str | Path, text: str | None = None) -> tuple[int, str]:
    """Exit code of the tool and all that it printed; the test is skipped where it is missing."""
    if not (program := shutil.which(tool)):
        pytest.skip(f"{tool} is missing: apt-get install {_PACKAGES[tool]}, or as .ci/run does")
    done = subprocess.run(
        [program, *map(str, arguments)],
        **({"input": text} if text is not None else {"stdin": subprocess.DEVNULL}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr
