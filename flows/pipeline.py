"""Rows in, a proved version out: the four flows in their order.

The one place where flows call flows: here the next step needs the result of the one before, a
failed run is started again and goes on where it stopped because every step finds what is done,
and the UI shows the whole way of a version in one picture. Everything else goes by events.
"""

import sys

from prefect import flow

from flows.deploy import RolloutPlan, deploy
from flows.evaluate import evaluate
from flows.ingest import SampleSize, ingest
from flows.train import train
from tasks.alerts import publish_pipeline
from tasks.data import load_classifier
from tasks.options import TrainingOptions
from tasks.records import Served
from tasks.rollout import address
from tasks.settings import Settings
from tasks.targets import place_of


@flow(name="pipeline", flow_run_name="pipeline {classifier}")
def pipeline(
    classifier: str,
    source: str | None = None,
    sample_size: SampleSize = None,
    training: TrainingOptions = TrainingOptions(),
    rollout: RolloutPlan = RolloutPlan(),
) -> Served:
    """Ingest, train, evaluate and deploy one classifier. Start it again when it failed.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        source: A folder or file, s3://BUCKET/PREFIX, http(s)://FILE, hub://ID or
            sample://NAME?rows=2000&seed=7. Empty: the source of the classifier file.
        sample_size: Most training rows used. Empty: sample_size of the classifier file.
        training: What this run does otherwise than the classifier file says.
        rollout: Where to, and how carefully.
    """
    settings = Settings()
    snapshot = ingest(classifier, source, sample_size)
    version = train(classifier, snapshot.sha256, training)
    verdict = evaluate(classifier, version.version)
    served = deploy(classifier, version.version, rollout)
    place = place_of(settings, load_classifier(classifier, settings.classifiers_dir), served.target)
    publish_pipeline(snapshot, version, verdict, address(place), settings.mlflow_tracking_uri)
    return served


if __name__ == "__main__":
    pipeline(sys.argv[1])
