"""Jobs as the SageMaker SDK takes them."""

from typing import Any

from sagemaker.core.resources import ProcessingJob, TrainingJob
from sagemaker.core.shapes import shapes

from tasks.requests import MARK, PROVISIONING_S, ProcessingRequest, TrainingRequest

_CONTAINER = "/opt/ml/processing"
_VOLUME_GB = 30


def submit(request: TrainingRequest | ProcessingRequest, name: str) -> None:
    """Create the job under this name; the SDK then reads what it made."""
    if isinstance(request, TrainingRequest):
        TrainingJob.create(training_job_name=name, **_training_arguments(request))
    else:
        ProcessingJob.create(processing_job_name=name, **_processing_arguments(request, name))


def _training_arguments(request: TrainingRequest) -> dict[str, Any]:
    spot = {}
    longest = {"max_runtime_in_seconds": request.max_runtime_s}
    if request.use_spot:
        longest["max_wait_time_in_seconds"] = request.max_runtime_s + PROVISIONING_S
        # One place for all attempts: the next one goes on where the last was interrupted.
        uri = f"{request.checkpoints_uri}/{request.names[0]}"
        spot = {
            "enable_managed_spot_training": True,
            "checkpoint_config": shapes.CheckpointConfig(s3_uri=uri),
        }
    return {
        "role_arn": request.role,
        "algorithm_specification": shapes.AlgorithmSpecification(
            training_image=request.image, training_input_mode="File"
        ),
        "input_data_config": [_channel(*channel) for channel in request.channels.items()],
        "output_data_config": shapes.OutputDataConfig(s3_output_path=request.output_uri),
        "resource_config": shapes.ResourceConfig(
            instance_type=request.instance_type,
            instance_count=request.instance_count,
            volume_size_in_gb=_VOLUME_GB,
        ),
        "stopping_condition": shapes.StoppingCondition(**longest),
        "hyper_parameters": request.hyperparameters,
        "environment": {**request.environment, MARK: request.digest},
        "tags": _tags(request),
        **spot,
    }


def _channel(name: str, uri: str) -> shapes.Channel:
    source = shapes.S3DataSource(
        s3_data_type="S3Prefix", s3_uri=f"{uri}/", s3_data_distribution_type="FullyReplicated"
    )
    return shapes.Channel(
        channel_name=name, data_source=shapes.DataSource(s3_data_source=source), input_mode="File"
    )


def _processing_arguments(request: ProcessingRequest, name: str) -> dict[str, Any]:
    output = shapes.ProcessingOutput(
        output_name=request.output,
        s3_output=shapes.ProcessingS3Output(
            s3_uri=f"{request.output_uri}/{name}",
            local_path=f"{_CONTAINER}/output/{request.output}",
            s3_upload_mode="EndOfJob",
        ),
    )
    cluster = shapes.ProcessingClusterConfig(
        instance_count=1, instance_type=request.instance_type, volume_size_in_gb=_VOLUME_GB
    )
    return {
        "role_arn": request.role,
        "app_specification": shapes.AppSpecification(
            image_uri=request.image, container_entrypoint=list(request.entrypoint)
        ),
        "processing_inputs": [_input(*folder) for folder in request.inputs.items()],
        "processing_output_config": shapes.ProcessingOutputConfig(outputs=[output]),
        "processing_resources": shapes.ProcessingResources(cluster_config=cluster),
        "stopping_condition": shapes.ProcessingStoppingCondition(
            max_runtime_in_seconds=request.max_runtime_s
        ),
        "environment": {**request.environment, MARK: request.digest},
        "tags": _tags(request),
    }


def _input(name: str, uri: str) -> shapes.ProcessingInput:
    source = shapes.ProcessingS3Input(
        s3_uri=uri,
        local_path=f"{_CONTAINER}/input/{name}",
        s3_data_type="S3Prefix",
        s3_input_mode="File",
        s3_data_distribution_type="FullyReplicated",
    )
    return shapes.ProcessingInput(input_name=name, s3_input=source)


def _tags(request: TrainingRequest | ProcessingRequest) -> list[dict[str, str]]:
    # Plain: the SDK's two kinds of job want two different classes called Tag.
    return [{"key": key, "value": value} for key, value in request.tags.items()]
