"""Steps that show how a study stands and hand over what it found."""

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.adapters import aws, registry, studies, tracking
from tasks.classifiers import Classifier, load
from tasks.errors import JobFailed
from tasks.pictures import study as pictures
from tasks.pictures.base import shown
from tasks.policy import budget, study_page, tuning
from tasks.retries import live
from tasks.trials import Standing, Study, StudyResult, Trial


@task(cache_policy=NO_CACHE, task_run_name="show study {study.name}")
def publish_study(study: Study, config: Classifier, folder: Path) -> None:
    """Show in Prefect how the study stands: its best values as a patch, pictures, every trial."""
    known, standing = _read(study, config, folder)
    titles = ("Score of each trial", "Values and score")
    drawn = [shown(*one) for one in zip(titles, _pictures(study, config, known), strict=True)]
    create_markdown_artifact(
        key=f"tune-{study.classifier}",
        markdown=study_page.page(standing, config, known, time.time(), drawn),
        description=f"Study {study.name} after {len(known)} trials",
    )


@live(task_run_name="finish study {study.name}")
def finish_study(
    study: Study, config: Classifier, folder: Path, ended: Sequence[Trial], mlflow_uri: str
) -> StudyResult:
    """Put the patch beside the study's log and all of it on its MLflow run.

    Raises JobFailed when trials failed one after the other, or when none is complete.
    """
    known, standing = _read(study, config, folder)
    history, parallel = _pictures(study, config, known)
    client, best = registry.client(mlflow_uri), standing.winner
    why = tuning.failing(ended, config.tuning) or ("" if best else "no trial is complete")
    files = {"history.png": history, "parallel.png": parallel}
    files["winner.patch"] = standing.patch.encode()
    used = budget.spent(known, time.time(), config)
    numbers = {"trials": float(used.trials), "hours": used.hours}
    if used.dollars is not None:
        numbers["dollars"] = used.dollars
    if best and best.score is not None:
        numbers[f"best_{study.objective}"] = best.score
    tags = {f"best.{key}": str(value) for key, value in best.values.items()} if best else {}
    tracking.end(client, study.run_id, numbers, tags, files, failed=bool(why))
    if why or best is None or best.score is None or best.job is None:
        raise JobFailed(
            f"study {study.name}: {why}. Mend the cause and start tune/{study.classifier} again;"
            " it goes on where it stands"
        )
    key = study.patch_uri.removeprefix(f"s3://{study.bucket}/")
    aws.client("s3").put_object(Bucket=study.bucket, Key=key, Body=files["winner.patch"])
    return StudyResult(
        study=study.name,
        trials=used.trials,
        winner=best.number,
        score=best.score,
        values=best.values,
        job=best.job.name,
        patch_uri=study.patch_uri,
    )


def _read(study: Study, config: Classifier, folder: Path) -> tuple[list[Trial], Standing]:
    known = studies.trials(studies.opened(aws.client("s3"), study, config.tuning), config.tuning)
    file = load(config.name, folder)
    text = (folder / f"{config.name}.toml").read_bytes().decode()
    return known, study_page.standing(study, file, text, config, known)


def _pictures(study: Study, config: Classifier, known: Sequence[Trial]) -> tuple[bytes, bytes]:
    now = study_page.baseline(config, known)
    return (
        pictures.history(known, study.objective, now.score if now else None),
        pictures.parallel(known, config.tuning.space, study.objective),
    )
