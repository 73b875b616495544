"""What a study asks, which trial has won, and when it has failed."""

from collections.abc import Iterable, Sequence

from tasks.classifiers import Classifier, Hyperparameters
from tasks.policy.names import digest
from tasks.search import Tuning, Value
from tasks.trials import Trial


def identity(config: Classifier, snapshot_sha256: str, objective: str) -> str:
    """SHA-256 of the question that a study asks. Its budget is no part: more of it goes on."""
    settings = config.training.hyperparameters.model_dump(by_alias=True)
    space = config.tuning.space
    return digest(
        {
            "snapshot": snapshot_sha256,
            "fixed": {key: value for key, value in settings.items() if key not in space},
            "space": {key: search.model_dump() for key, search in space.items()},
            "objective": objective,
            "seed": config.tuning.seed,
        }
    )


def objective(config: Classifier) -> str:
    """What a trial is measured by on the validation rows: what its gate compares."""
    return config.gates.metric


def values(config: Classifier) -> dict[str, Value]:
    """What the classifier file has now of that which is searched."""
    settings = config.training.hyperparameters.model_dump(by_alias=True)
    return {key: settings[key] for key in config.tuning.space}


def changes(file: Classifier, config: Classifier, chosen: dict[str, Value]) -> dict[str, Value]:
    """What the file has to say otherwise for `train` to do what the trial of `config` did."""
    before = file.training.hyperparameters.model_dump(by_alias=True)
    after = with_values(config, chosen).training.hyperparameters.model_dump(by_alias=True)
    return {key: value for key, value in after.items() if value != before[key]}


def with_values(config: Classifier, chosen: dict[str, Value]) -> Classifier:
    """The classifier with these hyperparameters in place of its own."""
    settings = config.training.hyperparameters.model_dump(by_alias=True)
    trained = Hyperparameters.model_validate({**settings, **chosen})
    training = config.training.model_copy(update={"hyperparameters": trained})
    return config.model_copy(update={"training": training})


def failing(ended: Sequence[Trial], tuning: Tuning) -> str:
    """Why the study stops as failed; empty: it does not. `ended` in the order of their ends."""
    last = ended[-tuning.failures_in_a_row :]
    if len(last) < tuning.failures_in_a_row or any(one.state != "FAIL" for one in last):
        return ""
    return f"{len(last)} trials in a row failed, the last one, {last[-1].number}: {last[-1].note}"


def cut_before(trials: Iterable[Trial], trial: Trial) -> int | None:
    """The earlier trial with these values that was cut short: once is enough."""
    cut = [one.number for one in trials if one.state == "PRUNED" and one.values == trial.values]
    return next((number for number in cut if number < trial.number), None)


def winner(trials: Iterable[Trial]) -> Trial | None:
    """The complete trial with the best score, the earliest of equals."""
    scored = [one for one in trials if one.state == "COMPLETE" and one.score is not None]
    return max(scored, key=lambda one: (one.score or 0.0, -one.number), default=None)
