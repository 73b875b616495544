"""The queue of texts before the model processes, and how batches are taken from it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from serving.contract import Answer, Refusal

# What a text costs beside its letters, in letters.
_FIXED = 24
# The engine computes like lengths together, so a batch is chosen for them from so many.
_LOOK_AHEAD = 256


@dataclass(slots=True)
class Classified:
    """The answers to one request, in the order of its texts, and where its time went."""

    answers: list[Answer]
    queue_s: float = 0.0
    tokenize_s: float = 0.0
    infer_s: float = 0.0


@dataclass(slots=True, eq=False)
class Job:
    """One request: its texts wait, are computed and answered one by one."""

    future: "asyncio.Future[Classified]"
    deadline: float
    gone: Callable[[], bool]
    alone: bool  # may have ended a process: never in a batch with others
    left: int
    answers: list[Answer | None]
    began: float = field(default_factory=time.monotonic)
    queue_s: float = 0.0
    tokenize_s: float = 0.0
    infer_s: float = 0.0

    @property
    def over(self) -> bool:
        return self.future.done()

    def refuse(self, refusal: Refusal) -> None:
        if not self.future.done():
            self.future.set_exception(refusal)

    def answer(self, place: int, answer: Answer) -> None:
        """Put one text's answer in its place; the last one completes the request."""
        self.answers[place] = answer
        self.left -= 1
        if not self.left and not self.future.done():
            answers = [one for one in self.answers if one is not None]
            timings = (self.queue_s, self.tokenize_s, self.infer_s)
            self.future.set_result(Classified(answers, *timings))


@dataclass(slots=True, eq=False)
class Text:
    """One text of a request."""

    text: str
    place: int
    job: Job
    cost: int
    alone: bool


class Backlog:
    """Texts in the order in which they came, and what they will cost."""

    def __init__(self) -> None:
        self._waiting: deque[Text] = deque()
        self.most = 20_000  # letters of one text; what is beyond costs nothing
        self.cost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: Job, texts: Sequence[str]) -> None:
        most, alone = self.most, job.alone
        for place, text in enumerate(texts):
            cost = min(len(text), most) + _FIXED
            self._waiting.append(Text(text, place, job, cost, alone))
            self.cost += cost

    def put_back(self, texts: Sequence[Text], *, alone: bool) -> None:
        """Texts that are tried again, before all others."""
        for text in reversed(texts):
            text.alone = alone
            self._waiting.appendleft(text)
            self.cost += text.cost

    def sweep(self) -> None:
        """Forget the texts of requests that are over."""
        if any(text.job.over for text in self._waiting):
            self._keep([text for text in self._waiting if not text.job.over])

    def next_alone(self) -> bool:
        """Whether the oldest text must be computed alone."""
        self._drop_dead()
        return bool(self._waiting) and self._waiting[0].alone

    def take(self, most_texts: int, most_cost: float) -> list[Text]:
        """The oldest text that somebody still waits for, and those that are most like it in length.

        So none waits for ever, and little is computed on padding when there is a choice.
        """
        self._drop_dead()
        if not self._waiting:
            return []
        oldest = self._waiting.popleft()
        self.cost -= oldest.cost
        batch = [oldest]
        if oldest.alone or most_texts == 1 or not self._waiting:
            return batch
        others = [text for text in islice(self._waiting, _LOOK_AHEAD) if not text.alone]
        others.sort(key=lambda text: abs(text.cost - oldest.cost))
        cost = oldest.cost
        for text in others:
            cost += text.cost
            if len(batch) == most_texts or cost > most_cost:
                break
            if wanted(text.job):
                batch.append(text)
        taken = set(batch)
        self._keep([text for text in self._waiting if text not in taken])
        return batch

    def _drop_dead(self) -> None:
        while self._waiting and not wanted(self._waiting[0].job):
            self.cost -= self._waiting.popleft().cost

    def _keep(self, texts: list[Text]) -> None:
        self._waiting = deque(texts)
        self.cost = sum(text.cost for text in texts)


def wanted(job: Job) -> bool:
    """Whether somebody still waits for the request; one whose caller has left is over."""
    if job.future.done():
        return False
    if job.deadline <= time.monotonic():
        job.refuse(Refusal(504, "deadline_exceeded", "No answer within the deadline"))
        return False
    if job.gone():
        job.refuse(Refusal(499, "client_gone", "The caller has left"))
        return False
    return True
