"""The step that runs one trial of a study as a training job."""

import logging
import math
from collections.abc import Callable

import optuna

from tasks.adapters import aws, jobs, logs, registry, results, studies, tracking
from tasks.classifiers import Classifier
from tasks.errors import JobFailed, NotFound, WaitTimeout
from tasks.policy import requests, tuning
from tasks.records import Snapshot
from tasks.requests import Started, TrainingRequest, Workplace
from tasks.retries import live
from tasks.trials import Bill, Study, Trial
from training.formats import EpochLine

log = logging.getLogger(__name__)

_POLL_S = 3.0


@live(task_run_name="trial {trial.number} of {study.name}")
def run_trial(
    study: Study, trial: Trial, config: Classifier, snapshot: Snapshot, place: Workplace
) -> Trial:
    """Train to the end, or to where the trial is worse than the median of the others.

    A job that fails is a failed trial. Any other error is raised and leaves the trial running, its
    job too: whoever opens the study next goes on with both.
    """
    opened = studies.opened(aws.client("s3"), study, config.tuning)
    asked = tuning.with_values(config, trial.values)
    request = requests.training_request(asked, snapshot, place)
    known = studies.trials(opened, config.tuning)
    try:
        if (twin := tuning.cut_before(known, trial)) is not None:
            studies.tell(opened, trial.number, "PRUNED", note=f"the same values as trial {twin}")
        else:
            job = _job(opened, known[trial.number], request)
            _follow(opened, study, trial.number, job, place)
    except (JobFailed, NotFound, WaitTimeout) as error:
        studies.tell(opened, trial.number, "FAIL", note=str(error))
    told = studies.trial(opened, config.tuning, trial.number)
    log.info(
        "study %s trial %d: %s %s %s", study.name, told.number, told.state, told.score, told.note
    )
    return told


def _job(opened: optuna.Study, trial: Trial, request: TrainingRequest) -> Started:
    """The trial's one job. A trial that has one never gets another."""
    sagemaker = aws.client("sagemaker")
    if not trial.job:
        job = jobs.start(sagemaker, request)
        studies.started(opened, trial.number, job)
        return job
    if trial.note:  # whoever meant to stop it may not have come to do so
        jobs.stop(sagemaker, trial.job.name)
    return trial.job


def _follow(
    opened: optuna.Study, study: Study, number: int, job: Started, place: Workplace
) -> None:
    sagemaker, look = aws.client("sagemaker"), _watch(opened, study, number, job, place)
    try:
        status = jobs.wait(sagemaker, job, look, _POLL_S)
    except WaitTimeout:
        if job.found == "new":
            jobs.stop(sagemaker, job.name)  # nobody waits for it any more
        raise
    tracking.nest(registry.client(place.mlflow_uri), study.run_id, job.name)
    _end(opened, study, number, job, status)


def _watch(
    opened: optuna.Study, study: Study, number: int, job: Started, place: Workplace
) -> Callable[[jobs.Status], None]:
    """Reports each epoch that the job tells, and stops a job that is not worth its time."""
    sagemaker, cloudwatch = aws.client("sagemaker"), aws.client("logs")
    tail = logs.Tail(jobs.GROUPS["training"], f"{job.name}/")
    doomed = nested = False

    def look(status: jobs.Status) -> None:
        nonlocal doomed, nested
        said = [EpochLine.parse(line) for line in logs.read(cloudwatch, tail)]
        for line in (line for line in said if line):
            score = getattr(line, study.objective)
            worse = studies.report(opened, number, line.epoch, score)
            log.info(
                "trial %d epoch %d/%d: %s %.4f",
                number,
                line.epoch,
                line.epochs,
                study.objective,
                score,
            )
            last = status.over or line.epoch == line.epochs
            # A job that somebody else started, say a run of `train`, is not a study's to stop.
            if worse and not doomed and not last and job.found == "new":
                doomed = True
                why = f"epoch {line.epoch}: {score:.4f} is less than the median of the others"
                studies.doom(opened, number, why)
                jobs.stop(sagemaker, job.name)
            if not nested:
                nested = tracking.nest(registry.client(place.mlflow_uri), study.run_id, job.name)

    return look


def _end(
    opened: optuna.Study, study: Study, number: int, job: Started, status: jobs.Status
) -> None:
    """Tell the study how the job ended, and what it cost unless it had ended before."""
    bill = None
    if status.began_s and job.found != "completed":
        billable_s = status.billable_s or status.seconds
        bill = Bill(status.name, status.began_s, status.began_s + status.seconds, billable_s)
    if status.state == "Completed":
        manifest, _ = results.trained(aws.client("s3"), status.output_uri)
        score = manifest.metrics[study.objective]
        if math.isfinite(score):
            studies.tell(opened, number, "COMPLETE", score, bill)
        else:
            studies.tell(opened, number, "FAIL", None, bill, f"{study.objective} is {score}")
    elif status.state == "Stopped" and studies.doomed(opened, job.name):
        studies.tell(opened, number, "PRUNED", None, bill)
    else:
        why = f"{status.name} {status.state} {status.phase}: {status.reason or 'no reason given'}"
        studies.tell(opened, number, "FAIL", None, bill, why)
