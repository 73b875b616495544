"""Which job a classifier, a snapshot and a version ask for."""

from tasks.classifiers import Classifier, Training
from tasks.policy.names import attempts, digest
from tasks.records import ModelVersion, Snapshot, cost_tags
from tasks.requests import ProcessingRequest, TrainingRequest, Workplace

_EVALUATION_RUNTIME_S = 3600


def training_request(config: Classifier, snapshot: Snapshot, place: Workplace) -> TrainingRequest:
    """The job that trains `config` on `snapshot`.

    All that can change the model is in the digest. Where MLflow listens is not.
    """
    training = config.training
    hyperparameters = _strings(training)
    channels = {"training": snapshot.uri}
    if (base := training.hyperparameters.model_name).startswith("s3://"):
        channels["model"] = base.rstrip("/")
    environment = {
        "CLASSIFIER": config.name,
        "TASK": config.task,
        "GIT_SHA": place.git_sha,
        "MLFLOW_EXPERIMENT_NAME": f"{place.project}-{place.environment}-{config.name}",
    }
    inputs = digest(
        {
            "image": place.image,
            "instance": [training.instance_type, training.instance_count],
            "runtime": [training.max_runtime_s, training.use_spot],
            "hyperparameters": hyperparameters,
            "channels": channels,
            "environment": environment,
        }
    )
    return TrainingRequest(
        classifier=config.name,
        digest=inputs,
        names=attempts(f"{place.project}-{place.environment}", config.name, "train", inputs),
        role=place.role,
        image=place.image,
        instance_type=training.instance_type,
        instance_count=training.instance_count,
        max_runtime_s=training.max_runtime_s,
        use_spot=training.use_spot,
        channels=channels,
        hyperparameters=hyperparameters,
        environment={**environment, "MLFLOW_TRACKING_URI": place.mlflow_uri},
        output_uri=f"s3://{place.bucket}/training",
        checkpoints_uri=f"s3://{place.bucket}/checkpoints",
        tags=cost_tags(place.project, place.environment, config.name),
    )


def evaluation_request(
    config: Classifier,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    snapshot: Snapshot,
    place: Workplace,
) -> ProcessingRequest:
    """The job that scores challenger and champion on the test split of `snapshot`."""
    entrypoint = ("python", "-m", "training.evaluate")
    environment = {"CLASSIFIER": config.name, "GIT_SHA": place.git_sha}
    inputs = digest(
        {
            "image": place.image,
            "instance": config.training.instance_type,
            "challenger": challenger.bundle_digest,
            "champion": champion.bundle_digest if champion else None,
            "snapshot": snapshot.sha256,
            "environment": environment,
        }
    )
    folders = {"challenger": challenger.bundle_uri, "test": snapshot.uri}
    if champion:
        folders["champion"] = champion.bundle_uri
    return ProcessingRequest(
        classifier=config.name,
        digest=inputs,
        names=attempts(f"{place.project}-{place.environment}", config.name, "eval", inputs),
        role=place.role,
        image=place.image,
        entrypoint=entrypoint,
        instance_type=config.training.instance_type,
        max_runtime_s=_EVALUATION_RUNTIME_S,
        inputs=folders,
        output="evaluation",
        output_uri=f"s3://{place.bucket}/evaluations",
        environment=environment,
        tags=cost_tags(place.project, place.environment, config.name),
    )


def _strings(training: Training) -> dict[str, str]:
    """SageMaker takes hyperparameters as strings, under the keys of the classifier file."""
    values = training.hyperparameters.model_dump(by_alias=True)
    return {key: str(value) for key, value in values.items()}
