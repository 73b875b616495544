"""The unmodified SageMaker SDK v3 trains on the sandbox and reads its endpoints."""

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # the SDK's own, at import and at every call
ROLE = "arn:aws:iam::123456789012:role/perennial"


@pytest.fixture
def training_image(sandbox):
    """An image whose entry point writes a model."""
    folder = sandbox.state / "images"
    folder.mkdir(exist_ok=True)
    script = "open('model/weights', 'w').write('w'); print('trained')"
    (folder / "sdk.Dockerfile").write_text(f'ENTRYPOINT ["python", "-c", "{script}"]\n')
    return "123456789012.dkr.ecr.us-east-1.amazonaws.com/sdk:1"


def test_model_trainer_trains(sandbox, buckets, training_image, aws):
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import (
        Compute,
        InputData,
        OutputDataConfig,
        StoppingCondition,
    )
    from sagemaker.train import ModelTrainer

    if "perennial" not in [role["RoleName"] for role in aws("iam").list_roles()["Roles"]]:
        aws("iam").create_role(RoleName="perennial", AssumeRolePolicyDocument="{}")
    trainer = ModelTrainer(
        sagemaker_session=Session(default_bucket="sandbox-models"),
        training_image=training_image,
        role=ROLE,
        base_job_name="sdk",
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=1),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=60),
        output_data_config=OutputDataConfig(s3_output_path="s3://sandbox-models/sdk"),
        hyperparameters={"seed": 7},
    )

    trainer.train(
        input_data_config=[
            InputData(channel_name="training", data_source="s3://sandbox-data/rows/")
        ],
        wait=True,
        logs=False,
    )

    job = trainer._latest_training_job.refresh()
    assert job.training_job_status == "Completed"
    assert job.model_artifacts.s3_model_artifacts.endswith("/output/model.tar.gz")


def test_resources_read_jobs_and_endpoints(sandbox, jobs, endpoints):
    from sagemaker.core.resources import Endpoint, EndpointConfig, TrainingJob

    jobs.run("sdk-reads", "print('x')")
    endpoints.model("sdk-one")
    endpoints.create("sdk-reads", "sdk-one")

    job = TrainingJob.get("sdk-reads")
    endpoint = Endpoint.get("sdk-reads")
    config = EndpointConfig.get("sdk-one")
    answer = endpoint.invoke(body=b"hi", content_type="text/plain")

    assert job.secondary_status == "Completed"
    assert config.production_variants[0].model_name == "sdk-one"
    assert endpoint.endpoint_status == "InService"
    assert answer.body.read() == b'{"model": "sdk-one", "echo": "hi"}'
    endpoint.delete()
