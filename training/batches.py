"""Which rows are computed together: little padding, few batches."""

from collections.abc import Sequence

# Engines prepare their kernels for each new shape, so few widths are quicker than exact ones.
WIDTH = 16
# What a batch costs before its first token, as a share of the largest batch (measured: 2 to 4 ms
# of 45).
_BEGINNING = 16


def grouped(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """The row numbers of each batch, chosen so that the whole costs least; the longest come last.

    A batch has at most `most_tokens`, padding counted, or one row.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    beginning = most_tokens // _BEGINNING
    # For the first so many rows: the least cost, and where their last batch begins.
    costs, begins = [0], [0]
    for end, row in enumerate(order, 1):
        width = rounded(lengths[row])
        fewest = max(0, end - max(1, most_tokens // width))
        cost, begin = min(
            (costs[begin] + beginning + (end - begin) * width, begin)
            for begin in range(fewest, end)
        )
        costs.append(cost)
        begins.append(begin)
    batches, end = [], len(order)
    while end:
        batches.append(order[begins[end] : end])
        end = begins[end]
    return batches[::-1]


def rounded(length: int) -> int:
    """How wide a batch is whose longest row has so many tokens."""
    return max(1, -(-length // WIDTH)) * WIDTH
