"""How quick the model is, measured while it answers, and what follows from it."""

_WEIGHT = 0.05
# One batch takes about this long at most: what comes after it need not wait longer to be begun.
_BATCH_S = 0.1
# Smaller batches would not be quicker for each text: about 512 tokens for each of two cores.
_LEAST = 4500


class Pace:
    """Cost per second of one model process, as a mean over the last twenty batches or so."""

    def __init__(self, most_cost: int) -> None:
        self._most = most_cost
        self._cost = self._seconds = 0.0

    def saw(self, cost: int, seconds: float) -> None:
        """One batch of that cost took so long."""
        weight = _WEIGHT if self._seconds else 1.0
        self._cost += weight * (cost - self._cost)
        self._seconds += weight * (seconds - self._seconds)

    def seconds(self, cost: int, processes: int) -> float:
        """How long work of that cost takes; 0 before anything was measured."""
        return cost * self._seconds / self._cost / max(1, processes) if self._cost else 0.0

    def full(self, waiting: int) -> bool:
        """Whether so much waits that a batch of it gets no better by more."""
        return waiting >= 2 * _LEAST

    @property
    def lead_s(self) -> float:
        """How long before the end of a batch some of the process's cores have nothing to do."""
        return self.seconds(_LEAST // 2, 1)

    def budget(self, waiting: int, processes: int) -> float:
        """The cost of the next batch: what waits, shared evenly with the other processes.

        A part of it for a process that is alone made no batch quicker, and who was left waited
        for two: p99 at concurrency 32 was 216 ms and is 150.
        """
        soon = self._cost / self._seconds * _BATCH_S if self._seconds else self._most
        return min(self._most, max(_LEAST, min(waiting / processes, soon)))
