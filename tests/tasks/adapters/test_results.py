import io
import json
import tarfile
from dataclasses import asdict
from typing import Any

import boto3
import pytest

from tasks.adapters import aws, results
from tasks.errors import NotFound
from training.formats import BundleManifest

BUCKET = "results-models"
MANIFEST = BundleManifest(
    classifier="news",
    task="news-topic",
    base_model="tiny",
    labels=("A", "B"),
    max_length=32,
    total_parameters=10,
    files={},
    hyperparameters={},
    metrics={"accuracy": 0.9, "macro_f1": 0.9},
    snapshot_sha256="5" * 64,
    git_sha="abc",
    job_name="job",
)


@pytest.fixture
def s3(sandbox) -> Any:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return aws.client("s3")


def put(s3: Any, job: str, members: dict[str, bytes]) -> str:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    s3.put_object(Bucket=BUCKET, Key=f"{job}/output/output.tar.gz", Body=packed.getvalue())
    return f"s3://{BUCKET}/{job}/output/model.tar.gz"


@pytest.mark.parametrize("root", ["", "./"])
def test_manifest_and_run_are_read_in_any_order(s3, root):
    run = json.dumps({"run_id": "r1"}).encode()
    members = {f"{root}metrics.json": run, f"{root}manifest.json": MANIFEST.to_bytes()}

    manifest, run_id = results.trained(s3, put(s3, f"good{len(root)}", members))

    assert (manifest.digest, run_id) == (MANIFEST.digest, "r1")


def test_the_way_of_a_training_is_read_epoch_by_epoch(s3):
    epoch = {"epoch": 1, "train_loss": 1.5, "loss": 1.2, "accuracy": 0.7, "macro_f1": 0.6}
    metrics = {"run_id": "r1", "best_epoch": 1, "curve": [epoch], "steps": 6}

    found = results.curve(s3, put(s3, "curve", {"metrics.json": json.dumps(metrics).encode()}))

    assert found.best_epoch == 1
    assert [asdict(one) for one in found.curve] == [epoch]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"metrics.json": b"{}"}, "holds no manifest.json"),
        ({"manifest.json": MANIFEST.to_bytes()}, "holds no metrics.json"),
        (
            {"manifest.json": MANIFEST.to_bytes(), "metrics.json": b'{"run_id": null}'},
            "names no MLflow run",
        ),
    ],
)
def test_what_is_missing_is_named(s3, members, problem):
    with pytest.raises(NotFound, match=problem):
        results.trained(s3, put(s3, "bad", members))


def test_a_job_that_left_nothing_is_named(s3):
    with pytest.raises(NotFound, match=r"none/evaluation.json: the job left no such file"):
        results.evaluation(s3, f"s3://{BUCKET}/none")
