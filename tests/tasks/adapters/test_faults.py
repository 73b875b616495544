"""What the flows ask of S3, SageMaker's jobs and packages, logs and SNS, under every fault.

Asked elsewhere in the same way: snapshots' write, processing jobs, listing a model package.
"""

import io
import json
import tarfile
import time

import pytest
from plugins.faults import PASSING, STAYING, Rows

from tasks.adapters import (
    alerts,
    aws,
    bundles,
    jobs,
    journal,
    ledger,
    logs,
    packages,
    results,
    snapshots,
    verdicts,
)
from tasks.policy.names import attempts, digest
from tasks.records import Outcome, Release, Served, Verdict
from tasks.requests import TrainingRequest
from training.formats import BundleManifest, SnapshotManifest

BUCKET = "faults-models"
ROLE = "arn:aws:iam::123456789012:role/perennial-test"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/perennial-training:1"
MANIFEST = BundleManifest(
    **dict.fromkeys(("classifier", "task", "base_model", "git_sha", "job_name"), "news"),
    **{key: {} for key in ("files", "hyperparameters", "metrics")},
    **{"labels": ("A",), "max_length": 32, "total_parameters": 1, "snapshot_sha256": "5" * 64},
)
ONE = Served("1", f"s3://{BUCKET}/model.tar.gz", MANIFEST.digest, "sagemaker")
TAGS = {"Project": "perennial"}
HANGING = {"write_journal-PutObject", "follow_logs-GetLogEvents"}
ROWS = Rows()


@pytest.fixture(scope="module", autouse=True)
def world(quick_aws):
    """What the rows read."""
    aws.client("s3").create_bucket(Bucket=BUCKET)
    upload("model.tar.gz", {"manifest.json": MANIFEST.to_bytes()})
    run = json.dumps({"run_id": "r"}).encode()
    upload("output.tar.gz", {"manifest.json": MANIFEST.to_bytes(), "metrics.json": run})


def upload(key, members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    aws.client("s3").put_object(Bucket=BUCKET, Key=key, Body=packed.getvalue())


def objects(case):
    return aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=case)["KeyCount"]


@ROWS("s3", "PutObject")
def write_journal(case):
    release = Release(1, "STAGING", None, None, ONE, "o" * 64, "", "run-1")
    key = f"{case}/journal.json"
    return lambda: journal.write(aws.client("s3"), BUCKET, key, release), lambda: objects(case)


@ROWS("s3", "GetObject")
def read_journal(case):
    write_journal("read")[0]()
    key = "read/journal.json"
    return lambda: journal.read(aws.client("s3"), BUCKET, key).holder == "run-1" or 1 / 0, None


@ROWS("s3", "ListObjectsV2", "PutObject")
def append_ledger(case):
    entry = ledger.Entry("2026", "run", "released", "news", "1", "PASS", "op")
    return lambda: ledger.append(aws.client("s3"), BUCKET, case, entry), lambda: objects(case)


@ROWS("s3", "PutObject")
def write_verdict(case):
    told = Verdict(Outcome.PASS, (), {}, case, "1", case, None, "5" * 64, "s3://e")
    return (
        lambda: verdicts.write(aws.client("s3"), BUCKET, told),
        lambda: objects(f"verdicts/{case}/"),
    )


@ROWS("s3", "GetObject")
def verify_bundle(case):
    return lambda: bundles.verify(aws.client("s3"), ONE.bundle_uri, MANIFEST.digest), None


@ROWS("s3", "GetObject")
def read_results(case):
    return lambda: results.trained(aws.client("s3"), ONE.bundle_uri), None


@ROWS("s3", "GetObject")
def read_snapshot(case):
    told = {"classifier": "news", "sha256": "5" * 64, "labels": ("A",), "source": "", "files": {}}
    manifest = SnapshotManifest(**told, rows_read=0, dropped={})
    body = manifest.model_dump_json().encode()
    aws.client("s3").put_object(Bucket=BUCKET, Key="data/manifest.json", Body=body)
    return lambda: snapshots.read(aws.client("s3"), f"s3://{BUCKET}/data"), None


@ROWS("sagemaker", "DescribeTrainingJob", "CreateTrainingJob")
def start_training(case):
    names = attempts("faults", case, "train", digest({"case": case}))
    request = TrainingRequest(
        *("news", digest({"case": case}), names, ROLE, IMAGE, "ml.m5.large", 1, 60, False),
        *({"training": f"s3://{BUCKET}/none"}, {"seed": "1"}, {}),
        *(f"s3://{BUCKET}/training", f"s3://{BUCKET}/checkpoints", TAGS),
    )

    def made():
        found = aws.client("sagemaker").list_training_jobs(NameContains=f"faults-{case}-train")
        return len(found["TrainingJobSummaries"])

    return lambda: jobs.start(aws.client("sagemaker"), request), made


@ROWS("logs", "DescribeLogStreams", "GetLogEvents")
def follow_logs(case):
    client = aws.client("logs")
    client.create_log_group(logGroupName=case)
    client.create_log_stream(logGroupName=case, logStreamName="job/algo-1")
    event = {"timestamp": int(time.time() * 1000), "message": "one"}
    client.put_log_events(logGroupName=case, logStreamName="job/algo-1", logEvents=[event])
    tail = logs.Tail(case, "job/")
    return lambda: logs.follow(aws.client("logs"), tail) == ["one"] or 1 / 0, None


@ROWS("sagemaker", "UpdateModelPackage")
def decide_package(case):
    sagemaker, about = aws.client("sagemaker"), {"image": IMAGE, "metadata": {}}
    arn = packages.create(
        sagemaker, case, bundle_uri=ONE.bundle_uri, bundle_digest="d", tags=TAGS, **about
    )
    return (
        lambda: packages.decide(aws.client("sagemaker"), arn, "Approved", "PASS"),
        lambda: [one.approval for one in packages.versions(sagemaker, case)].count("Approved"),
    )


@ROWS("sns", "Publish")
def tell_people(case):
    topic = aws.client("sns").create_topic(Name="faults")["TopicArn"]
    return lambda: alerts.notify(aws.client("sns"), topic, "released", "news 1"), None


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_passes_is_not_noticed(trial, row, kind):
    trial.passes(row, kind)


@pytest.mark.parametrize("kind", STAYING)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_stays_ends_the_step(trial, row, kind):
    trial.stays(row, kind)


@pytest.mark.parametrize("row", [one for one in ROWS if str(one) in HANGING], ids=str)
def test_a_hanging_call_is_given_up_and_made_once(trial, row):
    trial.hangs(row)
