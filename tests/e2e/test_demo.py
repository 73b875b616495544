"""The two commands of the README, run as a newcomer runs them, on real rows."""

import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import time
from functools import partial
from itertools import islice
from pathlib import Path

import boto3
import httpx
import psutil
import pytest
from mlflow import MlflowClient

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("PERENNIAL_SHARED_DATA", ROOT.parent / "shared" / "data")) / "ag_news"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not REAL.is_dir(), reason=f"the real AG News rows are not at {REAL}"),
]


def make(*arguments, state, timeout):
    """Run make as a person does, from the repository root."""
    return subprocess.run(
        ["make", *arguments, f"STATE={state}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


# As few rows and as short as clear the gate's floors by three points.
SETTINGS = ("SAMPLE_SIZE=1600", "MAX_LENGTH=48", "LEARNING_RATE=3e-4")
LINES = {"train.csv": 900, "test_a.csv": 500}

TEXT = {"text": "The striker scored twice"}
DATA = {"data": "The striker scored twice"}

# Three other workers test meanwhile: httpx' own five seconds are too few.
get, post = (partial(ask, timeout=60) for ask in (httpx.get, httpx.post))


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    yield folder
    make("down", state=folder, timeout=300)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The first lines of the real files."""
    folder = tmp_path_factory.mktemp("rows")
    for name, count in LINES.items():
        with gzip.open(REAL / f"{name}.gz", "rt", encoding="utf-8") as lines:
            (folder / name).write_text("".join(islice(lines, count)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def demo(state, rows):
    done = make("demo", f"DATA={rows}", *SETTINGS, state=state, timeout=1500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def stack(state, demo, monkeypatch):
    """The running stack's environment in this process; the session's own comes back after."""
    for line in (state / "stack.env").read_text().splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, shlex.split(value)[0])


@pytest.fixture
def endpoint(stack):
    stacks = boto3.client("cloudformation").describe_stacks(StackName="perennial-dev-news-ec2")
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks["Stacks"][0]["Outputs"]}
    return outputs["EndpointUrl"]


def key():
    held = boto3.client("secretsmanager").get_secret_value(SecretId="perennial-dev/operator-key")
    return {"X-API-Key": held["SecretString"]}


def training_jobs():
    return boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]


def test_the_demo_tells_what_happened(demo):
    assert "PASS: accuracy 0." in demo
    assert "epoch 1/" in demo
    assert demo.count('"prediction"') == 3


def test_the_language_moved_and_a_successor_came_by_itself(demo, stack):
    chain = demo[demo.index("pipeline/news          released") :]
    before, after = (
        int(share) for share in re.findall(r"moved texts, (\d+)% answered right", chain)
    )
    verdicts = MlflowClient().get_model_version_by_alias("bert-news-classifier", "champion").tags

    assert "DETECTED" in chain
    assert chain.index("drift-check/news") < chain.index("pipeline/on-drift")
    assert after > before
    assert verdicts["retrain_reason"].startswith("drift")


def test_the_endpoint_keeps_the_contract_to_the_letter(endpoint):
    answer = post(f"{endpoint}/predict", json=TEXT, headers=key())

    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == [
        "prediction",
        "confidence",
        "model_version",
        "processing_time",
        "timestamp",
    ]
    assert body["prediction"] == "Sports"
    assert isinstance(body["confidence"], float)
    assert body["model_version"] == answer.headers["X-Model-Version"]
    assert isinstance(body["processing_time"], float)
    assert body["timestamp"].endswith("Z")


def test_the_endpoint_answers_nobody_without_a_key(endpoint):
    assert post(f"{endpoint}/predict", json=TEXT).status_code == 401
    assert get(f"{endpoint}/docs").status_code == 401


def test_the_endpoint_answers_the_list_contract_too(endpoint):
    body = post(f"{endpoint}/predict", json=DATA, headers=key()).json()

    assert list(body) == ["main_category", "probabilities"]
    assert body["main_category"][0] == "Sports"
    assert len(body["main_category"]) == len(body["probabilities"]) == 3
    assert body["probabilities"] == sorted(body["probabilities"], reverse=True)


def test_schedules_make_runs(stack):
    asked = {"sort": "EXPECTED_START_TIME_DESC", "limit": 20}
    found = post(f"{os.environ['PREFECT_API_URL']}/flow_runs/filter", json=asked).json()

    assert any(run["auto_scheduled"] for run in found)


def test_running_it_again_repeats_nothing(demo, endpoint, state, rows):
    jobs = training_jobs()

    again = make("demo", f"DATA={rows}", *SETTINGS, state=state, timeout=400)

    assert again.returncode == 0, again.stdout[-4000:]
    assert training_jobs() == jobs
    # The first one, and the one that the moved language brought.
    assert len(MlflowClient().search_model_versions("name='bert-news-classifier'")) == 2
    found = post(f"{os.environ['PREFECT_API_URL']}/automations/filter", json={}).json()
    names = [one["name"] for one in found]
    assert "a run crashed" in names
    assert len(set(names)) == len(names)


def test_what_was_serving_serves_again_after_the_sandbox_was_killed(endpoint, state):
    health = get(os.environ["AWS_ENDPOINT_URL"] + "/_sandbox/health").json()
    headers = key()  # from the sandbox, which is about to be away

    os.kill(health["pid"], signal.SIGKILL)

    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            answer = post(f"{endpoint}/predict", json=TEXT, headers=headers)
        except httpx.TransportError:
            time.sleep(1)
            continue
        if answer.status_code == 200:
            break
        time.sleep(1)
    assert answer.json()["prediction"] == "Sports"


def test_down_leaves_no_process(demo, state):
    done = make("down", state=state, timeout=300)

    assert done.returncode == 0
    marks = {str(state), str(state / "sandbox")}
    left = [
        process.cmdline()
        for process in psutil.process_iter()
        if marks & set(environment(process).values())
    ]
    assert left == [], json.dumps(left)


def environment(process):
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}
