"""Steps that open a study and ask it for trials."""

import logging
import time
from collections.abc import Sequence

from tasks.adapters import aws, registry, studies, tracking
from tasks.classifiers import Classifier
from tasks.policy import budget, requests, tuning
from tasks.records import Snapshot
from tasks.requests import Workplace
from tasks.retries import live
from tasks.trials import Study, Trial

log = logging.getLogger(__name__)


@live(task_run_name="open study of {config.name}")
def open_study(config: Classifier, snapshot: Snapshot, place: Workplace) -> Study:
    """The study of this question, begun or found; the file's own values are tried first."""
    objective = tuning.objective(config)
    digest = tuning.identity(config, snapshot.sha256, objective)
    name = f"{config.name}-{digest[:12]}"
    experiment = requests.training_request(config, snapshot, place).environment
    tags = {"classifier": config.name, "snapshot_sha256": snapshot.sha256, "objective": objective}
    study = Study(
        name=name,
        classifier=config.name,
        snapshot_sha256=snapshot.sha256,
        bucket=place.bucket,
        folder=f"studies/{place.environment}/{name}",
        objective=objective,
        run_id=tracking.begin(
            registry.client(place.mlflow_uri), experiment["MLFLOW_EXPERIMENT_NAME"], name, tags
        ),
    )
    opened = studies.opened(aws.client("s3"), study, config.tuning)
    if not studies.suggest_first(opened, config.tuning, tuning.values(config)):
        log.info("study %s: the file's own values lie outside tuning.space: not tried", name)
    return study


@live(task_run_name="next trial of {study.name}")
def next_trial(
    study: Study, config: Classifier, followed: Sequence[int], ended: Sequence[Trial]
) -> Trial | None:
    """A trial that an earlier run left behind, else a new one; None when the study is to end."""
    opened = studies.opened(aws.client("s3"), study, config.tuning)
    known = studies.trials(opened, config.tuning)
    left = [one.number for one in known if one.state == "RUNNING" and one.number not in followed]
    if left:
        log.info("study %s goes on with trial %d, which was left running", study.name, left[0])
        return studies.complete(opened, config.tuning, left[0])
    why = tuning.failing(ended, config.tuning) or budget.enough(known, time.time(), config)
    if why:
        log.info("study %s asks for no further trial: %s", study.name, why)
        return None
    asked = studies.ask(opened, config.tuning)
    log.info("study %s trial %d: %s", study.name, asked.number, asked.values)
    return asked
