"""Two models on the same rows: is the challenger worse than it may be?"""

from math import sqrt

from tasks.records import Outcome
from training.formats import Paired

_Z = 1.6449  # one-sided 95 %


def compare(paired: Paired, margin: float) -> tuple[Outcome, str, dict[str, float]]:
    """PASS when the challenger is at most `margin` worse with 95 % confidence.

    Interval of a paired difference after Agresti and Min (2005): half a row is added to each
    cell of the two-by-two table, which keeps its coverage with few disagreements.
    """
    won, lost = paired.only_challenger, paired.only_champion
    rows = paired.both_right + won + lost + paired.both_wrong
    difference = (won - lost) / rows
    middle = (won - lost) / (rows + 2)
    spread = _Z * sqrt((won + lost + 1) - (won - lost) ** 2 / (rows + 2)) / (rows + 2)
    lower, upper = middle - spread, middle + spread
    numbers = {"difference": difference, "difference_low": lower, "difference_high": upper}
    seen = (
        f"accuracy {difference:+.3f} against the champion"
        f" (90 % interval {lower:+.3f} to {upper:+.3f}, {rows} rows)"
    )
    if lower >= -margin:
        return Outcome.PASS, f"{seen}: not more than {margin:.3f} worse", numbers
    if upper < 0:
        return Outcome.FAIL, f"{seen}: worse", numbers
    wanted = f"{seen}: cannot tell whether it is more than {margin:.3f} worse"
    return Outcome.INCONCLUSIVE, wanted, numbers
