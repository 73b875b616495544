"""Rows in, a proved version out: the four flows in their order.

The one place where flows call flows: here the next step needs the result of the one before, a
failed run is started again and goes on where it stopped because every step finds what is done,
and the UI shows the whole way of a version in one picture. Everything else goes by events.
"""

import sys
from contextlib import ExitStack

from prefect import State, flow, tags

from flows.deploy import RolloutPlan, deploy
from flows.evaluate import evaluate
from flows.ingest import SampleSize, ingest
from flows.train import train
from tasks import approvals, retraining
from tasks.alerts import publish_pipeline
from tasks.data import load_classifier
from tasks.options import TrainingOptions
from tasks.reasons import Reason
from tasks.records import Served
from tasks.registry import tag_reason
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
    reason: Reason | None = None,
    resume: bool = False,
) -> Served | State[None]:
    """Ingest, train, evaluate and deploy one classifier. Start it again when it failed.

    The governor is asked first: a run that is not needed ends as NotNeeded and says why.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        source: A folder or file, s3://BUCKET/PREFIX, http(s)://FILE, hub://ID or
            sample://NAME?rows=2000&seed=7. Empty: the source of the classifier file.
        sample_size: Most training rows of the source. Empty: sample_size of the classifier file.
        training: What this run does otherwise than the classifier file says.
        rollout: Where to, and how carefully.
        reason: Why it trains. Empty: a person wants it, which no limit stands against.
        resume: Let the monitor start retrains again after it stopped.
    """
    settings = Settings()
    chosen = load_classifier(classifier, settings.classifiers_dir)
    place, mlflow_uri = place_of(settings, chosen, rollout.target), settings.mlflow_tracking_uri
    asked = retraining.ask(place, chosen, reason or Reason(), resume)
    if not asked.granted:
        return retraining.not_needed(asked)
    with ExitStack() as undo, tags(f"reason:{asked.reason.kind}"):
        undo.push(retraining.on_failure(asked))
        snapshot = ingest(classifier, source, sample_size, asked.feedback)
        version = train(classifier, snapshot.sha256, training)
        tag_reason(version, asked.reason, mlflow_uri)
        verdict = evaluate(classifier, version.version)
        retraining.go_on(asked, retraining.release_minutes(chosen, approvals.minutes(settings)))
        served = deploy(classifier, version.version, rollout)
        retraining.promoted(asked, served)
    publish_pipeline(snapshot, version, verdict, address(place), mlflow_uri)
    return served


if __name__ == "__main__":
    pipeline(sys.argv[1])
