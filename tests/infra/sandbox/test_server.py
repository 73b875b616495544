"""The server starts, ends what it started, and comes back as it was."""

import os
import signal
import time
import urllib.error
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError
from plugins.sandbox import Sandbox


def marked(state: Path) -> list[int]:
    """The processes that belong to the sandbox of this state folder."""
    mark, found = f"PERENNIAL_SANDBOX={state.resolve()}".encode(), []
    for process in psutil.process_iter():
        try:
            if mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                found.append(process.pid)
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def crashed(tmp_path_factory, endpoints_of, clients_of):
    """A sandbox that was killed with an endpoint serving and a job running, and started again."""
    lonely = Sandbox(tmp_path_factory.mktemp("crash") / "state").start()
    echo = endpoints_of(lonely)
    write_versions(echo.s3)
    clients_of(lonely.url, "iam").create_role(RoleName="kept", AssumeRolePolicyDocument="{}")
    echo.create("survivor", echo.model("one"))
    echo.sagemaker.create_training_job(
        TrainingJobName="cut-short",
        AlgorithmSpecification={
            "TrainingImage": "perennial-training:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sleep", "60"],
        },
        RoleArn="arn:aws:iam::123456789012:role/perennial",
        OutputDataConfig={"S3OutputPath": "s3://echo-models/out"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 120},
    )
    while len(before := marked(lonely.state)) < 2:
        time.sleep(0.2)
    lonely.kill()
    lonely.start()
    yield lonely, before, endpoints_of(lonely)
    if lonely.server.poll() is None:
        lonely.stop()


def write_versions(s3):
    s3.put_bucket_versioning(Bucket="echo-models", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="echo-models", Key="kept", Body=b"1", Tagging="colour=red")
    s3.put_object(Bucket="echo-models", Key="kept", Body=b"2", Metadata={"a": "b"})
    s3.put_object(Bucket="echo-models", Key="gone", Body=b"3")
    s3.delete_object(Bucket="echo-models", Key="gone")
    upload = {"Bucket": "echo-models", "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = []
    for number, body in ((1, b"x" * 6_000_000), (2, b"end")):
        part = s3.upload_part(**upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_after_a_crash_what_served_serves_again(crashed):
    _, before, echo = crashed

    assert echo.settled("survivor")["EndpointStatus"] == "InService"
    assert echo.ask("survivor") == ('{"model": "one", "echo": "hi"}', "all")
    assert not [pid for pid in before if psutil.pid_exists(pid)]


def test_after_a_crash_objects_are_there(crashed):
    s3 = crashed[2].s3

    versions = s3.list_object_versions(Bucket="echo-models", Prefix="kept")["Versions"]
    bodies = {
        version["IsLatest"]: s3.get_object(
            Bucket="echo-models", Key="kept", VersionId=version["VersionId"]
        )
        for version in versions
    }
    assert {latest: body["Body"].read() for latest, body in bodies.items()} == {
        True: b"2",
        False: b"1",
    }
    assert bodies[True]["Metadata"] == {"a": "b"}
    assert bodies[False]["TagCount"] == 1
    big = s3.get_object(Bucket="echo-models", Key="big")
    assert big["Body"].read() == b"x" * 6_000_000 + b"end"
    assert big["ETag"].endswith('-2"')
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="echo-models", Key="gone")


def test_after_a_crash_other_services_remember(crashed, clients_of):
    role = clients_of(crashed[0].url, "iam").get_role(RoleName="kept")

    assert role["Role"]["RoleName"] == "kept"


def test_a_job_cut_short_by_a_crash_has_failed(crashed):
    job = crashed[2].sagemaker.describe_training_job(TrainingJobName="cut-short")

    assert job["TrainingJobStatus"] == "Failed"
    assert "the sandbox ended while the job ran" in job["FailureReason"]


def test_a_dead_container_is_started_again(crashed):
    lonely, _, echo = crashed
    echo.settled("survivor")
    (serving,) = marked(lonely.state)

    os.kill(serving, signal.SIGKILL)

    assert echo_comes_back(echo) == ('{"model": "one", "echo": "hi"}', "all")


def echo_comes_back(echo):
    for _ in range(300):
        try:
            return echo.ask("survivor")
        except ClientError:
            time.sleep(0.2)
    raise AssertionError("the container did not come back")


def test_nothing_is_left_after_sigterm(crashed):
    lonely, _, echo = crashed
    echo.settled("survivor")
    assert marked(lonely.state)

    lonely.stop()

    assert marked(lonely.state) == []


def test_an_unknown_fault_is_refused(sandbox):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        sandbox.fault(kind="gremlins")
