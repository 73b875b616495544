from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tasks.adapters import aws, jobs, logs
from tasks.errors import Conflict, JobFailed, WaitTimeout
from tasks.policy.names import attempts, digest
from tasks.requests import ProcessingRequest, TrainingRequest

BUCKET = "jobs-models"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/perennial-training:1"
ROLE = "arn:aws:iam::123456789012:role/perennial-test"
WRITES = "open(f'{b}/processing/output/evaluation/evaluation.json', 'w').write('{}')"
GOOD = f"import os; b = os.environ['SAGEMAKER_BASE_DIR']; {WRITES}; print('scored')"
CREATES = {"CreateTrainingJob", "CreateProcessingJob"}


@pytest.fixture
def sagemaker(sandbox) -> Iterator[Any]:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    sandbox.clear_faults()
    sandbox.clear_calls()
    yield aws.client("sagemaker")
    sandbox.clear_faults()


def processing(script: str, case: str) -> ProcessingRequest:
    inputs = digest({"case": case})
    return ProcessingRequest(
        classifier="news",
        digest=inputs,
        names=attempts("perennial-test", "news", "eval", inputs),
        role=ROLE,
        image=IMAGE,
        entrypoint=("python", "-c", script),
        instance_type="ml.m5.large",
        max_runtime_s=60,
        inputs={},
        output="evaluation",
        output_uri=f"s3://{BUCKET}/evaluations",
        environment={"CLASSIFIER": "news"},
        tags={"Project": "perennial"},
    )


def training(case: str, **changes: Any) -> TrainingRequest:
    inputs = digest({"case": case})
    request = TrainingRequest(
        classifier="news",
        digest=inputs,
        names=attempts("perennial-test", "news", "train", inputs),
        role=ROLE,
        image=IMAGE,
        instance_type="ml.m5.large",
        instance_count=1,
        max_runtime_s=60,
        use_spot=False,
        channels={"training": f"s3://{BUCKET}/datasets/none"},
        hyperparameters={"model-name": "offline", "max-length": "32"},
        environment={"CLASSIFIER": "news"},
        output_uri=f"s3://{BUCKET}/training",
        checkpoints_uri=f"s3://{BUCKET}/checkpoints",
        tags={"Project": "perennial", "CostCenter": "ML-Team"},
    )
    return replace(request, **changes)


def ended(sagemaker: Any, job: Any) -> jobs.Status:
    return jobs.wait(sagemaker, job, lambda status: None, poll_s=0.2)


def created(sandbox: Any) -> int:
    return sum(call["action"] in CREATES for call in sandbox.calls())


def test_a_job_runs_once_and_its_result_is_used_again(sagemaker, sandbox, tmp_path):
    gate = tmp_path / "open"
    waits = f"import os, time\nwhile not os.path.exists('{gate}'): time.sleep(0.05)\n"
    request = processing(waits + GOOD, "once")

    first = jobs.start(sagemaker, request)
    attached = jobs.start(sagemaker, request)
    gate.touch()
    status = ended(sagemaker, first)
    again = jobs.start(sagemaker, request)

    assert (first.found, attached.found, again.found) == ("new", "running", "completed")
    assert first.name == attached.name == again.name == request.names[0]
    assert status.state == "Completed"
    assert status.output_uri == f"s3://{BUCKET}/evaluations/{first.name}"
    assert created(sandbox) == 1


def test_its_log_lines_come_in_order_and_once(sagemaker):
    job = jobs.start(sagemaker, processing(f"{GOOD}; print('second')", "lines"))
    tail = logs.Tail(jobs.GROUPS[job.kind], f"{job.name}/")
    seen: list[str] = []

    jobs.wait(sagemaker, job, lambda _: seen.extend(logs.read(aws.client("logs"), tail)), 0.2)

    assert seen == ["scored", "second"]


def test_a_failed_job_says_its_last_words_and_the_next_start_is_a_new_attempt(sagemaker):
    request = processing("raise SystemExit('no such label: Weather')", "fails")
    job = jobs.start(sagemaker, request)
    tail = logs.Tail(jobs.GROUPS[job.kind], f"{job.name}/")

    status = jobs.wait(sagemaker, job, lambda _: logs.read(aws.client("logs"), tail), 0.2)
    error = jobs.failure(job.kind, status, tail.where, tail.last)
    second = jobs.start(sagemaker, request)

    assert status.state == "Failed"
    assert "exit code: 1" in str(error)
    assert "last lines of its log:\n  no such label: Weather" in str(error)
    assert f"/aws/sagemaker/ProcessingJobs --log-stream-name-prefix {job.name}/" in str(error)
    assert (second.name, second.found) == (f"{job.name}-a2", "new")


def test_a_stopped_job_is_not_taken_for_a_good_one(sagemaker):
    request = processing("import time; time.sleep(60)", "stopped")
    job = jobs.start(sagemaker, request)

    sagemaker.stop_processing_job(ProcessingJobName=job.name)

    assert ended(sagemaker, job).state == "Stopped"
    assert jobs.start(sagemaker, request).name == f"{job.name}-a2"


def test_after_five_failures_a_person_is_asked(sagemaker, sandbox):
    sandbox.fault(kind="job-failure", times=5, reason="AlgorithmError: no memory")
    request = processing(GOOD, "five")
    for _ in range(5):
        ended(sagemaker, jobs.start(sagemaker, request))

    with pytest.raises(JobFailed, match=r"5 attempts failed, the last with: .*no memory"):
        jobs.start(sagemaker, request)


def test_a_job_of_that_name_with_other_inputs_is_a_conflict(sagemaker):
    request = processing(GOOD, "mine")
    ended(sagemaker, jobs.start(sagemaker, request))

    with pytest.raises(Conflict, match="exists with other inputs"):
        jobs.start(sagemaker, replace(request, digest="e" * 64))


def test_a_wait_ends_and_leaves_the_job_running(sagemaker):
    job = jobs.start(sagemaker, processing("import time; time.sleep(30)", "slow"))

    with pytest.raises(WaitTimeout, match=rf"{job.name} is not over after"):
        jobs.wait(sagemaker, replace(job, timeout_s=0), lambda status: None, poll_s=0.2)

    status = jobs.describe(sagemaker, "processing", job.name)
    assert status is not None
    assert status.state == "InProgress"
    sagemaker.stop_processing_job(ProcessingJobName=job.name)


def test_a_training_job_carries_all_that_was_asked(sagemaker):
    job = jobs.start(sagemaker, training("all", use_spot=True))

    found = sagemaker.describe_training_job(TrainingJobName=job.name)
    assert found["HyperParameters"] == {"model-name": "offline", "max-length": "32"}
    assert found["EnableManagedSpotTraining"] is True
    assert found["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 60,
        "MaxWaitTimeInSeconds": 1860,
    }
    assert found["CheckpointConfig"]["S3Uri"] == f"s3://{BUCKET}/checkpoints/{job.name}"
    assert found["OutputDataConfig"]["S3OutputPath"] == f"s3://{BUCKET}/training"
    assert found["Environment"] == {"CLASSIFIER": "news", jobs.MARK: digest({"case": "all"})}
    tags = sagemaker.list_tags(ResourceArn=found["TrainingJobArn"])["Tags"]
    assert {"Key": "CostCenter", "Value": "ML-Team"} in tags


def test_a_training_job_without_data_fails_with_the_place_it_looked_at(sagemaker):
    status = ended(sagemaker, jobs.start(sagemaker, training("no data")))

    assert status.state == "Failed"
    assert f"s3://{BUCKET}/datasets/none" in status.reason


@pytest.mark.parametrize("action", ["DescribeProcessingJob", "CreateProcessingJob"])
@pytest.mark.parametrize("kind", ["throttle", "error-500", "commit-then-500", "reset"])
def test_a_fault_that_passes_makes_no_second_job(sagemaker, sandbox, kind, action):
    sandbox.fault(service="sagemaker", action=action, kind=kind, times=2)

    job = jobs.start(sagemaker, processing(GOOD, f"{kind} {action}"))

    assert ended(sagemaker, job).state == "Completed"
    names = [one["ProcessingJobName"] for one in all_jobs(sagemaker)]
    assert [name for name in names if name.startswith(job.name)] == [job.name]


@pytest.mark.parametrize("kind", ["expired-credentials", "access-denied"])
def test_a_fault_that_stays_ends_the_start_at_once(sagemaker, sandbox, kind):
    sandbox.fault(service="sagemaker", action="*", kind=kind, times=100)

    with pytest.raises(ClientError, match=r"expired|not authorized"):
        jobs.start(sagemaker, processing(GOOD, kind))

    assert sum(call["service"] == "sagemaker" for call in sandbox.calls()) <= 2


def test_a_job_that_cannot_be_read_yet_is_waited_for(sagemaker, sandbox, monkeypatch):
    job = jobs.start(sagemaker, processing(GOOD, "unseen"))
    real, looks = jobs.describe, iter([None, None])
    monkeypatch.setattr(
        jobs, "describe", lambda *words: next(looks) if looks.__length_hint__() else real(*words)
    )

    assert ended(sagemaker, job).state == "Completed"


def all_jobs(sagemaker: Any) -> list[Any]:
    pages = sagemaker.get_paginator("list_processing_jobs").paginate()
    return [job for page in pages for job in page["ProcessingJobSummaries"]]
