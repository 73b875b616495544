"""Endpoints without instances: what AWS refuses of them, and how many requests they take."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

SERVERLESS = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
INSTANCES = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}


@pytest.fixture(scope="module")
def light(endpoints):
    """Two models; configurations with and without instances."""
    for name in ("light-one", "light-two"):
        endpoints.model(name)
        configure(endpoints, f"{name}-serverless", ServerlessConfig=SERVERLESS)
    return endpoints


def configure(endpoints, name, times=1, model="light-one", data_capture=None, **more):
    model = name.removesuffix("-serverless") if name.endswith("-serverless") else model
    captured = {"DataCaptureConfig": data_capture} if data_capture else {}
    endpoints.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {"VariantName": f"v{number}", "ModelName": model, **more} for number in range(times)
        ],
        **captured,
    )


def test_one_request_at_a_time_and_the_next_is_told_to_wait(light, faults):
    faults(kind="slow-variant", name="v0", milliseconds=2000)
    created = light.create("busy", "light-one-serverless")
    variant = created["ProductionVariants"][0]

    def ask(number):
        try:
            return light.ask("busy", str(number))[1]
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(ask, range(4)))
    assert sorted(set(told)) == ["ThrottlingException", "v0"]
    assert ask("afterwards") == "v0"
    assert (variant["CurrentServerlessConfig"], variant["CurrentInstanceCount"]) == (SERVERLESS, 0)

    updated = light.update("busy", "light-two-serverless")
    assert updated["EndpointConfigName"] == "light-two-serverless"
    assert light.ask("busy")[0] == '{"model": "light-two", "echo": "hi"}'
    count = [{"VariantName": "v0", "DesiredInstanceCount": 2}]
    with pytest.raises(ClientError, match="is serverless and has no instances"):
        light.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="busy", DesiredWeightsAndCapacities=count
        )
    light.sagemaker.delete_endpoint(EndpointName="busy")


CAPTURE = {
    "InitialSamplingPercentage": 100,
    "DestinationS3Uri": "s3://echo-models/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}],
}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"times": 2, "ServerlessConfig": SERVERLESS}, "more than one production variant"),
        ({"data_capture": CAPTURE, "ServerlessConfig": SERVERLESS}, "DataCaptureConfig is not"),
        ({"ServerlessConfig": SERVERLESS, **INSTANCES}, "can not be specified together"),
        ({"ServerlessConfig": {**SERVERLESS, "MaxConcurrency": 201}}, "between 1 and 200"),
        ({"ServerlessConfig": {**SERVERLESS, "MemorySizeInMB": 2000}}, "enum value set"),
    ],
)
def test_what_only_instances_have_is_refused(light, asked, message):
    with pytest.raises(ClientError, match=message):
        configure(light, "refused", **asked)


def test_instances_do_not_become_serverless(light):
    light.create("heavy", "light-one")
    with pytest.raises(ClientError, match="can not be updated to a serverless one"):
        light.update("heavy", "light-one-serverless")
    light.sagemaker.delete_endpoint(EndpointName="heavy")
