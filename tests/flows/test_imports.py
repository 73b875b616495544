"""What a flow's process does not wait for before its run is under way."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOWS = sorted(
    f"flows.{file.stem}" for file in (ROOT / "flows").glob("*.py") if file.stem != "__init__"
)
# Half a second each, or seconds. What a run needs of them it imports where it needs it.
LATE = {"datasets", "evidently", "matplotlib", "mlflow", "pandas", "sagemaker", "scipy", "sklearn"}
# The trials of a study are Optuna's from the first step on.
TUNE = "flows.tune"
CODE = (
    "import importlib, sys; list(map(importlib.import_module, sys.argv[1:])); print(*sys.modules)"
)


def test_a_run_begins_without_what_takes_seconds_to_import():
    flows = [flow for flow in FLOWS if flow != TUNE]

    said = subprocess.check_output([sys.executable, "-c", CODE, *flows], cwd=ROOT, text=True)

    assert len(flows) == len(FLOWS) - 1 > 8
    assert not LATE & set(said.split())
