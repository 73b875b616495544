"""Clients, an image small enough to start at once, and short ways to ask for jobs."""

import io
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from plugins.sandbox import Sandbox

ROLE = "arn:aws:iam::123456789012:role/perennial"
TRAINING_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/perennial-training:1"
ECHO_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/echo:1"
ECHO = """
import http.server, json, os, pathlib, sys, time
name = open(os.environ["MODEL_PATH"] + "/name").read()
if name == "broken":
    sys.exit("cannot load the weights")
while name == "large" and not pathlib.Path(__file__).with_name("large-may-serve").exists():
    time.sleep(0.05)
class Handler(http.server.BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    def log_message(self, *_): ...
    def answer(self, code, text):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(text.encode())
    def do_GET(self):
        self.answer(200, "{}")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(400, "bad input") if body == "boom" else self.answer(
            200, json.dumps({"model": name, "echo": body}))
print("serving", name, flush=True)
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

HAND = """
import http.server, json, os, pathlib
manifest = pathlib.Path(os.environ["MODEL_PATH"], "manifest.json")
told = {
    "pid": os.getpid(),
    "version": os.environ.get("MODEL_VERSION"),
    "manifest": manifest.read_text() if manifest.exists() else None,
}
class Handler(http.server.BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    def log_message(self, *_): ...
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())
place = os.environ["API_HOST"], int(os.environ["API_PORT"])
http.server.ThreadingHTTPServer(place, Handler).serve_forever()
"""


def client_of(url: str, service: str) -> Any:
    config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


@pytest.fixture(scope="session")
def aws(sandbox: Sandbox) -> Callable[[str], Any]:
    """A client of the shared sandbox that never retries."""
    return lambda service: client_of(sandbox.url, service)


@pytest.fixture
def faults(sandbox: Sandbox) -> Iterator[Callable[..., None]]:
    sandbox.clear_faults()
    yield sandbox.fault
    sandbox.clear_faults()


@pytest.fixture(scope="session")
def buckets(aws: Callable[[str], Any]) -> None:
    s3 = aws("s3")
    for name in ("sandbox-data", "sandbox-models"):
        s3.create_bucket(Bucket=name)
    s3.put_object(Bucket="sandbox-data", Key="rows/train.txt", Body=b"hello rows")


class Jobs:
    """Short ways to ask for training jobs."""

    def __init__(self, sagemaker: Any) -> None:
        self.sagemaker = sagemaker

    def request(self, name: str, script: str, **more: Any) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": "s3://sandbox-data/rows/"}
        channel = {"ChannelName": "training", "DataSource": {"S3DataSource": source}}
        resources = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {
                "TrainingImage": TRAINING_IMAGE,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python", "-c", script],
            },
            "RoleArn": ROLE,
            "HyperParameters": {"seed": "7"},
            "InputDataConfig": [channel],
            "OutputDataConfig": {"S3OutputPath": "s3://sandbox-models/training"},
            "ResourceConfig": resources,
            "StoppingCondition": {"MaxRuntimeInSeconds": 120},
            **more,
        }

    def create(self, name: str, script: str, **more: Any) -> None:
        self.sagemaker.create_training_job(**self.request(name, script, **more))

    def run(self, name: str, script: str, **more: Any) -> dict[str, Any]:
        self.create(name, script, **more)
        return self.ended(name)

    def ended(self, name: str) -> dict[str, Any]:
        for _ in range(1800):
            job: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
            if job["TrainingJobStatus"] not in ("InProgress", "Stopping"):
                return job
            time.sleep(0.1)
        raise AssertionError(f"{name} did not end: {job}")


@pytest.fixture
def jobs(aws: Callable[[str], Any], buckets: None) -> Jobs:
    return Jobs(aws("sagemaker"))


class Endpoints:
    """Models that echo, and short ways to endpoints of them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sagemaker = client_of(sandbox.url, "sagemaker")
        self.runtime = client_of(sandbox.url, "sagemaker-runtime")
        self.s3 = client_of(sandbox.url, "s3")
        folder = sandbox.state / "images"
        folder.mkdir(exist_ok=True)
        (folder / "echo.py").write_text(ECHO)
        (folder / "echo.Dockerfile").write_text(
            "FROM scratch\nENV MODEL_PATH=/opt/ml/model\n"
            f'ENTRYPOINT ["{sys.executable}", "{folder / "echo.py"}"]\n'
        )
        self.s3.create_bucket(Bucket="echo-models")  # again is no error in us-east-1

    def model(self, name: str) -> str:
        """A model, and a configuration of the same name with the one variant `all`."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            member = tarfile.TarInfo("name")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
        url = f"s3://echo-models/{name}/model.tar.gz"
        self.s3.put_object(Bucket="echo-models", Key=f"{name}/model.tar.gz", Body=packed.getvalue())
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={"Image": ECHO_IMAGE, "ModelDataUrl": url},
        )
        return self.config(name, all=(name, 1))

    def config(self, name: str, **variants: tuple[str, float]) -> str:
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": variant,
                    "ModelName": model,
                    "InstanceType": "ml.c7i.large",
                    "InitialInstanceCount": 1,
                    "InitialVariantWeight": weight,
                }
                for variant, (model, weight) in variants.items()
            ],
        )
        return name

    def create(self, name: str, config: str) -> dict[str, Any]:
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.settled(name)

    def update(self, name: str, config: str, **more: Any) -> dict[str, Any]:
        self.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **more)
        return self.settled(name)

    def settled(self, name: str) -> dict[str, Any]:
        for _ in range(600):
            endpoint: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            if endpoint["EndpointStatus"] in ("InService", "Failed"):
                return endpoint
            time.sleep(0.1)
        raise AssertionError(f"{name} did not settle: {endpoint}")

    def ask(self, name: str, body: str = "hi", **more: Any) -> tuple[str, str]:
        """What answered: the body and the variant's name."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, ContentType="text/plain", **more
        )
        return answer["Body"].read().decode(), answer["InvokedProductionVariant"]


@pytest.fixture(scope="session")
def endpoints(sandbox: Sandbox) -> Endpoints:
    return Endpoints(sandbox)


@pytest.fixture(scope="session")
def endpoints_of() -> Callable[[Sandbox], Endpoints]:
    return Endpoints


@pytest.fixture(scope="session")
def clients_of() -> Callable[[str, str], Any]:
    return client_of


@pytest.fixture(scope="session")
def hand_image(sandbox: Sandbox) -> str:
    """An image for EC2 that serves at once and tells what it was started with."""
    folder = sandbox.state / "images"
    folder.mkdir(exist_ok=True)
    (folder / "hand.py").write_text(HAND)
    (folder / "hand.Dockerfile").write_text(
        "FROM scratch\nENV MODEL_PATH=/opt/ml/model API_HOST=0.0.0.0 API_PORT=8080\n"
        f'ENTRYPOINT ["{sys.executable}", "-S", "{folder / "hand.py"}"]\n'
    )
    return "123456789012.dkr.ecr.us-east-1.amazonaws.com/hand:1"
