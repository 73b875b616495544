"""One training run: a SageMaker job on a snapshot, and its bundle in the registry."""

import sys

from prefect import flow

from tasks.data import load_classifier
from tasks.jobs import find_snapshot, follow_training, start_training, workplace
from tasks.options import TrainingOptions
from tasks.records import ModelVersion
from tasks.registry import (
    list_package,
    name_challenger,
    publish_training,
    read_bundle,
    register_version,
)
from tasks.settings import Settings


@flow(name="train", flow_run_name="train {classifier}")
def train(
    classifier: str,
    snapshot: str | None = None,
    options: TrainingOptions = TrainingOptions(),
) -> ModelVersion:
    """Train a challenger. The same inputs again find the same job and the same version.

    A run that was cancelled or killed leaves its job running; the next run attaches to it.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        snapshot: SHA-256 or s3:// URI of a snapshot. Empty: the one ingested last.
        options: What this run does otherwise than the classifier file says.
    """
    settings = Settings()
    config = options.apply(load_classifier(classifier, settings.classifiers_dir))
    place = workplace(settings)
    data = find_snapshot(settings.data_bucket, classifier, snapshot)
    job = follow_training(start_training(config, data, place))
    manifest, run_id = read_bundle(job)
    version = register_version(config, job, manifest, run_id, settings.mlflow_tracking_uri)
    list_package(version, place, settings.serving_image)
    name_challenger(version, settings.mlflow_tracking_uri)
    publish_training(version, job, manifest, data, settings.mlflow_tracking_uri)
    return version


if __name__ == "__main__":
    train(sys.argv[1])
