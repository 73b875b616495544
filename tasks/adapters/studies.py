"""Optuna studies whose log lies in S3; the opened study is the first argument."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import optuna

from tasks.adapters.study_log import StudyLog
from tasks.requests import Started
from tasks.search import Tuning, Value
from tasks.trials import Bill, Study, Trial, TrialState

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST_CHANCE = 10  # trials drawn by chance before the sampler learns from what came of them
_STATES: dict[optuna.trial.TrialState, TrialState] = {
    optuna.trial.TrialState.RUNNING: "RUNNING",
    optuna.trial.TrialState.COMPLETE: "COMPLETE",
    optuna.trial.TrialState.PRUNED: "PRUNED",
    optuna.trial.TrialState.FAIL: "FAIL",
    optuna.trial.TrialState.WAITING: "WAITING",
}


def opened(s3: "S3Client", study: Study, tuning: Tuning) -> optuna.Study:
    """The study with all its trials, begun when there is none of this name."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(StudyLog(s3, study.bucket, f"{study.folder}/log"))
    return optuna.create_study(
        storage=storage,
        study_name=study.name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=tuning.prune_after_trials, n_warmup_steps=tuning.prune_from_epoch
        ),
    )


def suggest_first(study: optuna.Study, tuning: Tuning, values: Mapping[str, Value]) -> bool:
    """Have these values tried next unless they were; False when they lie outside the search."""
    if not all(search.holds(values[key]) for key, search in tuning.space.items()):
        return False
    wanted = {key: values[key] for key in tuning.space}
    tried = [one for one in trials(study, tuning) if one.state != "FAIL"]
    asked = [one.system_attrs.get("fixed_params") for one in study.get_trials(deepcopy=False)]
    if wanted not in [one.values for one in tried] and wanted not in asked:
        study.enqueue_trial(wanted)
    return True


def ask(study: optuna.Study, tuning: Tuning) -> Trial:
    """A new trial."""
    return complete(study, tuning, study.ask().number)


def complete(study: optuna.Study, tuning: Tuning, number: int) -> Trial:
    """The trial with all its values, also when its asker did not come to write them.

    They follow from the seed, the trial's number and what is known by now.
    """
    study.sampler = optuna.samplers.TPESampler(
        seed=tuning.seed + number,
        n_startup_trials=min(_MOST_CHANCE, max(3, tuning.trials // 3)),
        constant_liar=True,  # keeps trials that run at the same time apart
    )
    live = _live(study, number)
    for key, search in tuning.space.items():
        if search.low is None or search.high is None:
            live.suggest_categorical(key, search.choices)
        elif isinstance(search.low, int) and isinstance(search.high, int):
            live.suggest_int(key, search.low, search.high, log=search.log)
        else:
            live.suggest_float(key, search.low, search.high, log=search.log)
    return trial(study, tuning, number)


def trials(study: optuna.Study, tuning: Tuning) -> list[Trial]:
    """All trials in the order in which they were asked for."""
    return [_trial(one, tuning) for one in study.get_trials(deepcopy=False)]


def trial(study: optuna.Study, tuning: Tuning, number: int) -> Trial:
    """One trial as it stands."""
    return _trial(study.get_trials(deepcopy=False)[number], tuning)


def started(study: optuna.Study, number: int, job: Started) -> None:
    """Write down which job the trial is, for whoever goes on with it."""
    _live(study, number).set_user_attr("job", asdict(job))


def report(study: optuna.Study, number: int, epoch: int, score: float) -> bool:
    """Write down an epoch's score; True when the trial is worse than the median of the others."""
    live = _live(study, number)
    if epoch not in study.get_trials(deepcopy=False)[number].intermediate_values:
        live.report(score, epoch)
    return live.should_prune()


def doom(study: optuna.Study, number: int, why: str) -> None:
    """Write down that the trial's job is about to be stopped, before it is."""
    _live(study, number).set_user_attr("doomed", why)


def doomed(study: optuna.Study, job: str) -> bool:
    """Whether a trial stopped its job, or was about to; two with the same values share one."""
    told = [one.user_attrs for one in study.get_trials(deepcopy=False)]
    return any("doomed" in one and one.get("job", {}).get("name") == job for one in told)


def tell(
    study: optuna.Study,
    number: int,
    state: TrialState,
    score: float | None = None,
    bill: Bill | None = None,
    note: str = "",
) -> None:
    """How the trial ended; telling twice is telling once."""
    if study.get_trials(deepcopy=False)[number].state.is_finished():
        return
    live = _live(study, number)
    if bill:
        live.set_user_attr("bill", asdict(bill))
    if note:
        live.set_user_attr("note", note)
    study.tell(number, score, optuna.trial.TrialState[state], skip_if_finished=True)


def _live(study: optuna.Study, number: int) -> optuna.Trial:
    return optuna.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def _trial(found: optuna.trial.FrozenTrial, tuning: Tuning) -> Trial:
    told = found.user_attrs
    state = _STATES[found.state]
    values = {key: found.params[key] for key in tuning.space if key in found.params}
    curve = dict(found.intermediate_values)
    return Trial(
        number=found.number,
        state=state,
        values={key: tuning.space[key].neat(value) for key, value in values.items()},
        began_s=found.datetime_start.timestamp() if found.datetime_start else 0.0,
        score=found.value if state == "COMPLETE" else _last(curve),
        curve=curve,
        job=Started(**told["job"]) if "job" in told else None,
        bill=Bill(**told["bill"]) if "bill" in told else None,
        note=told.get("note") or told.get("doomed", ""),
    )


def _last(curve: Mapping[int, float]) -> float | None:
    known = [curve[epoch] for epoch in sorted(curve) if math.isfinite(curve[epoch])]
    return known[-1] if known else None
