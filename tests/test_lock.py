"""A broken pin is seen here: what is locked starts and works together."""

import subprocess
import sys
from importlib.metadata import version

import pytest

REPORT = """
import warnings
warnings.simplefilter("ignore")
import numpy, pandas, sys
from evidently import Report
from evidently.presets import DataDriftPreset
random = numpy.random.default_rng(0)
before = pandas.DataFrame({"confidence": random.beta(8, 2, 500), "length": random.poisson(40, 500)})
now = pandas.DataFrame({"confidence": random.beta(2, 2, 500), "length": random.poisson(40, 500)})
snapshot = Report([DataDriftPreset()]).run(now, before)
snapshot.save_html(sys.argv[1])
print(snapshot.json())
"""


def test_one_evidently_report_is_made(tmp_path):
    page = tmp_path / "report.html"

    made = subprocess.run(
        [sys.executable, "-c", REPORT, str(page)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert "confidence" in made.stdout
    assert page.stat().st_size > 100_000


@pytest.mark.parametrize(
    ("package", "below"), [("fastapi", (0, 151)), ("pandas", (3,))], ids=["fastapi", "pandas"]
)
def test_pins_that_hold_the_stack_together(package, below):
    assert tuple(int(part) for part in version(package).split(".")[: len(below)]) < below


def test_prefect_and_litserve_and_mlflow_import_together():
    done = subprocess.run(
        [sys.executable, "-c", "import prefect.server.api.server, litserve, mlflow, sagemaker"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
