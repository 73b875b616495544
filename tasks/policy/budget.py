"""What a study has spent, and whether one more trial may begin."""

from collections.abc import Iterable, Sequence

from tasks.classifiers import Classifier
from tasks.trials import Bill, Spent, Trial

_HOUR_S = 3600


def spent(trials: Sequence[Trial], now_s: float, config: Classifier) -> Spent:
    """What the trials used: time in which at least one job ran, and money for each job once.

    A trial under way counts from when it was asked for until now. One that failed costs, too, but
    is not counted: what broke it is seldom what it tried.
    """
    bills = {bill.job: bill for one in trials if (bill := _bill(one, now_s))}.values()
    price = config.tuning.dollars_per_hour
    instances = config.training.instance_count
    machine_hours = sum(bill.billable_s for bill in bills) * instances / _HOUR_S
    return Spent(
        trials=sum(one.state in {"RUNNING", "COMPLETE", "PRUNED"} for one in trials),
        hours=_covered_s((bill.began_s, bill.ended_s) for bill in bills) / _HOUR_S,
        dollars=None if price is None else machine_hours * price,
    )


def enough(trials: Sequence[Trial], now_s: float, config: Classifier) -> str:
    """Why no further trial is to begin; empty: one may.

    Money is asked ahead: a trial that costs what complete ones did on average has to fit in,
    beside what those under way will still cost.
    """
    tuning, used = config.tuning, spent(trials, now_s, config)
    if used.trials >= tuning.trials:
        return f"{used.trials} trials of {tuning.trials}"
    if used.hours >= tuning.hours:
        return f"{used.hours:.2f} hours of {tuning.hours:g}"
    if tuning.dollars is not None and used.dollars is not None:
        ahead = _ahead(trials, now_s, config)
        if used.dollars + ahead >= tuning.dollars:
            return (
                f"{used.dollars:.2f} dollars of {tuning.dollars:.2f}, and another trial would"
                f" bring it to about {used.dollars + ahead:.2f}"
            )
    return ""


def _bill(one: Trial, now_s: float) -> Bill | None:
    if one.state == "RUNNING" and one.bill is None and one.job:
        return Bill(one.job.name, one.began_s, now_s, now_s - one.began_s)
    return one.bill


def _covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union: spans that overlap count once, gaps do not count."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def _ahead(trials: Sequence[Trial], now_s: float, config: Classifier) -> float:
    """What one more trial and the rest of those under way will cost by the average."""
    complete = [one for one in trials if one.state == "COMPLETE" and one.bill]
    if not complete:
        return 0.0
    usual = spent(complete, now_s, config).dollars or 0.0
    usual /= len({one.bill.job for one in complete if one.bill})
    running = [one for one in trials if one.state == "RUNNING"]
    left = [max(0.0, usual - (spent([one], now_s, config).dollars or 0.0)) for one in running]
    return usual + sum(left)
