"""Training jobs on the sandbox are processes under the container contract."""

import io
import re
import tarfile

import pytest
from botocore.exceptions import ClientError

WRITES_A_MODEL = """
import json, os, pathlib
root = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
print((root / "input/data/training/train.txt").read_text())
print(json.loads((root / "input/config/hyperparameters.json").read_text()))
(root / "model/weights").write_text("w")
(root / "output/data/metrics.json").write_text("{}")
"""
STAYS_AT_5_ONCE = """
import os, pathlib, time
path = pathlib.Path(os.environ["SM_CHECKPOINT_DIR"]) / "step"
step = int(path.read_text()) if path.exists() else 0
print("begins at", step)
if step == 0:
    path.write_text("5")
    time.sleep(600)
"""
WRITES_A_REASON = """
import os
with open(os.environ["SAGEMAKER_BASE_DIR"] + "/output/failure", "w") as file:
    file.write("no disk")
raise SystemExit(9)
"""
SUMS_RANKS = """
import torch, torch.distributed as d
d.init_process_group("gloo")
t = torch.ones(1) * (d.get_rank() + 1)
d.all_reduce(t)
print("sum", t.item())
d.destroy_process_group()
"""
FILE_MODE = {"TrainingInputMode": "File"}
SLEEPS = "import time; time.sleep(60)"


def log_of(logs, job):
    """The streams of a job, each as a list of lines."""
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")
    names = sorted(stream["logStreamName"] for stream in streams["logStreams"])
    read = [logs.get_log_events(logGroupName=group, logStreamName=name) for name in names]
    return [[event["message"] for event in stream["events"]] for stream in read]


def channel_of(uri):
    source = {"S3DataType": "S3Prefix", "S3Uri": uri}
    return [{"ChannelName": "training", "DataSource": {"S3DataSource": source}}]


def test_a_job_gets_its_input_and_leaves_model_output_and_log(jobs, aws):
    job = jobs.run("writes-a-model", WRITES_A_MODEL)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    walked = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert walked == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    where = "s3://sandbox-models/training/writes-a-model/output/model.tar.gz"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": where}
    assert job["BillableTimeInSeconds"] >= 1
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]
    for name, member in (("model", "weights"), ("output", "metrics.json")):
        key = f"training/writes-a-model/output/{name}.tar.gz"
        body = aws("s3").get_object(Bucket="sandbox-models", Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            assert archive.getnames() == [member]
    assert log_of(aws("logs"), "writes-a-model") == [["hello rows", "{'seed': '7'}"]]


def test_the_same_name_twice_is_resource_in_use(jobs):
    jobs.run("once-only", "pass")

    with pytest.raises(ClientError, match="already exists") as refused:
        jobs.create("once-only", "pass")

    assert refused.value.response["Error"]["Code"] == "ResourceInUse"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("fails-by-itself", {}, r"AlgorithmError: .*ValueError: bad row 7, exit code: 1"),
        (
            "has-no-data",
            {"InputDataConfig": channel_of("s3://sandbox-data/nothing")},
            r'ClientError: .*No S3 objects found under S3 URL "s3://sandbox-data/nothing"',
        ),
        (
            "has-no-image",
            {"AlgorithmSpecification": {**FILE_MODE, "TrainingImage": "x/unknown:1"}},
            r"ClientError: image x/unknown:1: the repository 'unknown' does not exist",
        ),
    ],
)
def test_a_failed_job_says_why(jobs, name, change, reason):
    job = jobs.run(name, "raise ValueError('bad row 7')", **change)

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert re.search(reason, job["FailureReason"], re.DOTALL)


def test_the_failure_file_is_the_reason(jobs):

    job = jobs.run("writes-failure", WRITES_A_REASON)

    assert job["FailureReason"] == "AlgorithmError: no disk, exit code: 9"


def test_a_job_over_its_time_is_stopped(jobs):
    job = jobs.run("too-long", SLEEPS, StoppingCondition={"MaxRuntimeInSeconds": 1})

    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_job_can_be_stopped_once(jobs):
    jobs.create("stopped", SLEEPS)
    jobs.sagemaker.stop_training_job(TrainingJobName="stopped")

    assert jobs.ended("stopped")["TrainingJobStatus"] == "Stopped"
    with pytest.raises(ClientError, match="in status Stopped"):
        jobs.sagemaker.stop_training_job(TrainingJobName="stopped")


def test_a_spot_interruption_continues_at_the_checkpoint(jobs, aws, faults):
    faults(kind="spot-interruption")  # once a checkpoint is in S3

    job = jobs.run(
        "on-spot",
        STAYS_AT_5_ONCE,
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": "s3://sandbox-models/checkpoints/on-spot"},
        StoppingCondition={"MaxRuntimeInSeconds": 120, "MaxWaitTimeInSeconds": 120},
    )

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    walked = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert walked.count("Training") == 2
    assert "Interrupted" in walked
    assert log_of(aws("logs"), "on-spot") == [["begins at 0"], ["begins at 5"]]


def test_two_instances_are_one_process_group(jobs, aws):
    resources = {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}

    job = jobs.run("two-hosts", SUMS_RANKS, ResourceConfig=resources)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert [lines[-1] for lines in log_of(aws("logs"), "two-hosts")] == ["sum 3.0", "sum 3.0"]


def test_capacity_can_be_missing(jobs, faults):
    faults(kind="capacity-error")

    assert jobs.run("no-capacity", "pass")["FailureReason"].startswith("CapacityError")


def test_a_lost_answer_leaves_one_job(jobs, faults):
    faults(service="sagemaker", action="CreateTrainingJob", kind="commit-then-500")

    with pytest.raises(ClientError, match="InternalFailure"):
        jobs.create("answer-lost", "pass")
    with pytest.raises(ClientError, match="ResourceInUse"):
        jobs.create("answer-lost", "pass")

    assert jobs.ended("answer-lost")["TrainingJobStatus"] == "Completed"


def test_processing_moves_inputs_to_outputs(aws, buckets):
    sagemaker = aws("sagemaker")
    script = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)"
    given, made = "/opt/ml/processing/input/test", "/opt/ml/processing/output/evaluation"
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
    source = {"S3Uri": "s3://sandbox-data/rows", "LocalPath": given, "S3DataType": "S3Prefix"}
    target = {"S3Uri": "s3://sandbox-models/copied", "LocalPath": made}
    target["S3UploadMode"] = "EndOfJob"

    sagemaker.create_processing_job(
        ProcessingJobName="copies",
        RoleArn="arn:aws:iam::123456789012:role/perennial",
        ProcessingResources={"ClusterConfig": cluster},
        AppSpecification={
            "ImageUri": "perennial-training:1",
            "ContainerEntrypoint": ["python", "-c", script],
            "ContainerArguments": [given, made],
        },
        ProcessingInputs=[{"InputName": "test", "S3Input": source}],
        ProcessingOutputConfig={"Outputs": [{"OutputName": "copy", "S3Output": target}]},
    )
    waiter = sagemaker.get_waiter("processing_job_completed_or_stopped")
    waiter.wait(ProcessingJobName="copies", WaiterConfig={"Delay": 1})

    body = aws("s3").get_object(Bucket="sandbox-models", Key="copied/train.txt")["Body"].read()
    assert body == b"hello rows"
