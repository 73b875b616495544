"""The gate before release: challenger and champion on the same test rows."""

import sys

from prefect import flow

from tasks.data import load_classifier
from tasks.evidence import draw_pictures, log_evidence, publish_verdict, write_card
from tasks.gates import (
    already_champion,
    approve_package,
    demand_pass,
    find_champion,
    has_reference,
    judge,
    keep_reference,
    read_evaluation,
    record_verdict,
    tag_version,
)
from tasks.jobs import find_snapshot, follow_evaluation, start_evaluation, workplace
from tasks.records import Verdict
from tasks.releases import choose_version
from tasks.settings import Settings


@flow(name="evaluate", flow_run_name="evaluate {classifier}")
def evaluate(classifier: str, version: str | None = None) -> Verdict:
    """Judge a version by the code that serves; GateFailed unless it passes, once all is recorded.

    Evaluating again uses the finished job and comes to the same verdict. Of the champion only the
    reference of the drift check is made, where there is none.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        version: A registered version. Empty: the challenger.
    """
    settings = Settings()
    config = load_classifier(classifier, settings.classifiers_dir)
    mlflow_uri, place = settings.mlflow_tracking_uri, workplace(settings)
    challenger = choose_version(mlflow_uri, config.registered_model, version)
    champion = find_champion(mlflow_uri, config.registered_model)
    data = find_snapshot(settings.data_bucket, classifier, challenger.snapshot_sha256)
    if champion and champion.bundle_digest == challenger.bundle_digest:
        if not has_reference(settings.models_bucket, champion):
            job = follow_evaluation(start_evaluation(config, champion, None, data, place))
            alone = judge(config, champion, None, read_evaluation(job), job)
            keep_reference(settings.models_bucket, alone)
        verdict = already_champion(champion)
        publish_verdict(verdict)
        return verdict
    job = follow_evaluation(start_evaluation(config, challenger, champion, data, place))
    evaluation = read_evaluation(job)
    verdict = judge(config, challenger, champion, evaluation, job)
    record_verdict(settings.models_bucket, verdict)
    tag_version(challenger, verdict, mlflow_uri)
    approve_package(challenger, verdict, place)
    pictures = draw_pictures(verdict, evaluation)
    publish_verdict(verdict, evaluation, pictures)
    card = write_card(challenger, data, verdict, evaluation)
    log_evidence(challenger, verdict, evaluation, pictures, card, mlflow_uri)
    return demand_pass(verdict)


if __name__ == "__main__":
    evaluate(sys.argv[1])
