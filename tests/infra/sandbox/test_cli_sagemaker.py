"""The AWS CLI works against the sandbox as a person types it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

AWS = Path(sys.executable).with_name("aws")
ROLE = "arn:aws:iam::123456789012:role/perennial"
TRAINS = "print('epoch 1'); open('model/weights', 'w').write('w')"


@pytest.fixture
def cli(sandbox):
    """Run one command; its JSON, its text, or an assertion with what it said."""

    def run(*words: str):
        done = subprocess.run(
            [str(AWS), *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    return run


def test_a_training_job_from_the_command_line(cli, buckets, tmp_path):
    assert cli("sts", "get-caller-identity")["Account"] == "123456789012"
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.txt").write_text("row")
    (tmp_path / "rows" / "test.txt").write_text("row")
    cli("s3", "cp", str(tmp_path / "rows"), "s3://sandbox-data/cli/", "--recursive")
    specification = {
        "TrainingImage": "perennial-training:1",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "-c", TRAINS],
    }
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://sandbox-data/cli/"}}

    cli(
        *("sagemaker", "create-training-job", "--training-job-name", "by-hand"),
        *("--role-arn", ROLE, "--algorithm-specification", json.dumps(specification)),
        "--input-data-config",
        json.dumps([{"ChannelName": "training", "DataSource": source}]),
        *("--output-data-config", "S3OutputPath=s3://sandbox-models/training"),
        "--resource-config",
        "InstanceType=ml.m5.large,InstanceCount=1,VolumeSizeInGB=1",
        *("--stopping-condition", "MaxRuntimeInSeconds=60"),
    )
    name = ("--training-job-name", "by-hand")
    cli("sagemaker", "wait", "training-job-completed-or-stopped", *name)

    assert cli("sagemaker", "describe-training-job", *name)["TrainingJobStatus"] == "Completed"
    other = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "by-another/algo-1"}
    boto3.client("logs").create_log_stream(**other)
    event = {"timestamp": int(time.time() * 1000), "message": "not asked for"}
    boto3.client("logs").put_log_events(**other, logEvents=[event])
    group = ("--log-group-name", "/aws/sagemaker/TrainingJobs")
    read = cli("logs", "filter-log-events", *group, "--log-stream-name-prefix", "by-hand/")
    assert [event["message"] for event in read["events"]] == ["epoch 1"]


def test_a_model_package_from_the_command_line(cli):
    group = ("--model-package-group-name", "by-hand")
    cli("sagemaker", "create-model-package-group", *group)
    inference = "Containers=[{Image=x}],SupportedContentTypes=[text/csv]"
    made = cli(
        *("sagemaker", "create-model-package", *group),
        *("--model-approval-status", "PendingManualApproval"),
        *("--inference-specification", f"{inference},SupportedResponseMIMETypes=[text/csv]"),
    )

    arn = ("--model-package-arn", made["ModelPackageArn"])
    cli("sagemaker", "update-model-package", *arn, "--model-approval-status", "Approved")

    listed = cli("sagemaker", "list-model-packages", *group)["ModelPackageSummaryList"]
    assert [package["ModelApprovalStatus"] for package in listed] == ["Approved"]


def test_an_endpoint_from_the_command_line(cli, endpoints, tmp_path):
    for model in ("cli-one", "cli-two"):
        endpoints.model(model)
    variant = "VariantName=all,ModelName=cli-two,InstanceType=ml.m5.large,InitialInstanceCount=1"
    config = ("--endpoint-config-name", "typed")
    cli("sagemaker", "create-endpoint-config", *config, "--production-variants", variant)
    name = ("--endpoint-name", "typed")
    cli("sagemaker", "create-endpoint", *name, "--endpoint-config-name", "cli-one")
    cli("sagemaker", "wait", "endpoint-in-service", *name)
    cli("sagemaker", "update-endpoint", *name, *config)
    endpoints.settled("typed")

    described = cli("sagemaker", "describe-endpoint", *name)
    answer = cli(
        *("sagemaker-runtime", "invoke-endpoint", *name, "--body", "hi"),
        str(tmp_path / "answer"),
    )

    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "typed")
    assert answer["InvokedProductionVariant"] == "all"
    assert (tmp_path / "answer").read_text() == '{"model": "cli-two", "echo": "hi"}'
    scaled = (
        *("--service-namespace", "sagemaker", "--resource-id", "endpoint/typed/variant/all"),
        *("--scalable-dimension", "sagemaker:variant:DesiredInstanceCount"),
    )
    limits = ("--min-capacity", "1", "--max-capacity", "2")
    cli("application-autoscaling", "register-scalable-target", *scaled, *limits)
    policy = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
        },
    }
    put = cli(
        *("application-autoscaling", "put-scaling-policy", "--policy-name", "busy", *scaled),
        *("--policy-type", "TargetTrackingScaling"),
        *("--target-tracking-scaling-policy-configuration", json.dumps(policy)),
    )
    assert "policyName/busy" in put["PolicyARN"]
    cli("sagemaker", "delete-endpoint", *name)
