"""A search for better hyperparameters: trials as SageMaker jobs, and a patch at the end."""

import sys

from prefect import flow
from prefect.futures import PrefectFuture, as_completed

from tasks.data import load_classifier
from tasks.jobs import find_snapshot, workplace
from tasks.options import TrainingOptions, TuningOptions
from tasks.settings import Settings
from tasks.study_results import finish_study, publish_study
from tasks.trial_runs import run_trial
from tasks.trials import StudyResult, Trial
from tasks.tuning import next_trial, open_study


@flow(name="tune", flow_run_name="tune {classifier}")
def tune(
    classifier: str,
    snapshot: str | None = None,
    training: TrainingOptions = TrainingOptions(),
    limits: TuningOptions = TuningOptions(),
) -> StudyResult:
    """Look for hyperparameters that score better on the validation rows than the file's own.

    The same question again is the same study: a run that was killed or cancelled leaves its jobs
    running, and the next run goes on with them. So nothing that was paid for is lost, and a
    cancelled run ends as a killed one does, which cannot stop anything. What it leaves running is
    at most `parallel` jobs, each bounded by max_runtime_s; to end one now:
    `aws sagemaker stop-training-job --training-job-name NAME`.

    No version is registered, no test row is seen: it ends with a patch, for a person to take.

    Args:
        classifier: A file in classifiers/: news, genre, sentiment or your own.
        snapshot: SHA-256 or s3:// URI of a snapshot. Empty: the one ingested last.
        training: What all trials do otherwise than the classifier file says; not searched then.
        limits: How far to go. The budget counts what earlier runs of the study used.
    """
    settings = Settings()
    config = limits.apply(load_classifier(classifier, settings.classifiers_dir), training)
    place = workplace(settings)
    data = find_snapshot(settings.data_bucket, classifier, snapshot)
    study = open_study(config, data, place)
    followed: list[int] = []
    ended: list[Trial] = []
    running: list[PrefectFuture[Trial]] = []
    while (trial := next_trial(study, config, followed, ended)) or running:
        if trial:
            followed.append(trial.number)
            running.append(run_trial.submit(study, trial, config, data, place))
        if trial is None or len(running) >= config.tuning.parallel:
            first = next(as_completed(running))
            running.remove(first)
            ended.append(first.result())
            publish_study(study, config, settings.classifiers_dir)
    return finish_study(
        study, config, settings.classifiers_dir, ended, settings.mlflow_tracking_uri
    )


if __name__ == "__main__":
    tune(sys.argv[1])
