"""Do callers still ask what the serving version was tested on?"""

import sys
from contextlib import ExitStack
from dataclasses import replace

from prefect import State, flow

from tasks import drift, drift_evidence, drift_response, drift_rows, targets
from tasks.classifiers import Classifier
from tasks.data import load_classifier
from tasks.drift import Check
from tasks.drift_records import DriftOutcome, DriftVerdict
from tasks.drift_window import Window
from tasks.feedback import feedback_accuracy
from tasks.label_check import ask_by_labels
from tasks.records import Place, Served
from tasks.rollout import on_failure
from tasks.settings import Settings


@flow(name="drift-check", flow_run_name="drift-check {classifier}")
def drift_check(classifier: str, window: Window = Window()) -> State[None]:
    """Compare what was answered with what the version was tested on; drift may ask for a retrain.

    Ends as OK, SUSPECTED, DETECTED or NO_DATA; fails when it cannot tell, which asks for nothing.
    The same window again finds its verdict and does nothing twice.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        window: Which answers. Empty: those of the last hours, as the classifier file says.
    """
    settings = Settings()
    chosen = load_classifier(classifier, settings.classifiers_dir)
    place = targets.place_of(settings, chosen, None)
    with ExitStack() as broken:
        broken.push(on_failure(drift_response.tell_broken, place))
        served = drift.find_served(place)
        check = drift.choose(place, served, chosen.drift, window)
        if known := drift.find_verdict(check):
            return drift_response.conclude(known)
        if served is None:
            verdict = drift.nothing_serves(check)
            drift_evidence.publish(check, verdict, chosen.drift.threshold)
            drift.record_verdict(check, verdict)
        else:
            there = replace(place, target=served.target)
            verdict = _look(settings, chosen, there, served, check)
    return drift_response.conclude(verdict)


def _look(
    settings: Settings, chosen: Classifier, place: Place, served: Served, check: Check
) -> DriftVerdict:
    """All that a new window needs; the verdict is written last, so a killed run is done again."""
    about, bucket = check.about, settings.data_bucket
    reference = drift_rows.find_reference(place, served)
    sides = drift_rows.measure(place, chosen, bucket, check, reference, settings.dask_scheduler)
    before = drift.read_trend(check)
    labels = feedback_accuracy(bucket, chosen.name, about.since, about.until)
    verdict = drift.judge(check, chosen.drift, sides, before, labels.of(about.bundle_digest))
    page = ""
    if verdict.outcome is not DriftOutcome.NO_DATA:
        report = drift_evidence.make_report(sides)
        drift_evidence.keep_report(check, report)
        page = drift_evidence.log_check(check, verdict, report, settings.mlflow_tracking_uri)
        drift_evidence.put_metric(place, verdict)
    drift_evidence.publish(check, verdict, chosen.drift.threshold, before, page)
    fingerprint = ""
    if verdict.outcome is DriftOutcome.DETECTED:
        fingerprint = drift_response.request_retrain(place, chosen, check, verdict)
        drift_response.announce(check, verdict, fingerprint)
        drift_response.tell_drift(place, check, verdict, before)
    # One retrain is enough: labels are not asked where the drift asks already.
    if not fingerprint and not ask_by_labels(place, chosen, bucket, served, about.until):
        drift_response.request_for_loss(place, chosen, check, verdict)
    drift.record_verdict(check, verdict)
    return verdict


if __name__ == "__main__":
    sys.exit(drift_response.exit_code(drift_check(sys.argv[1], return_state=True)))
