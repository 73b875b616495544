"""The model processes of one bundle, and the queue before them.

The queue lives here and not in the processes: each is given work only when it can take it, so work
that nobody waits for is never computed, and a process that dies loses only what it held.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.backlog import Backlog, Classified, Job, wanted
from serving.channel import Answers
from serving.contract import Answer, Refusal
from serving.crew import Crew
from serving.model_process import Batch, ModelProcess
from serving.pace import Pace
from serving.rate import Rate
from serving.settings import ServingSettings
from serving.suspects import Standing, Suspects

logger = logging.getLogger(__name__)

_SWEEP_S = 0.05
_RETRIES_A_SECOND = 300
# An estimate may err; work that is then answered too late would be lost.
_SHARE_OF_DEADLINE = 0.8
# A process hangs when a batch takes so many times as long as such a batch does, but no less.
_HANGS_TIMES, _HANGS_S = 50, 5.0
_LETTERS_OF_A_TOKEN = 6  # seldom more; what is longer than the model takes is cut off


class Pool:
    """Answers texts with one bundle; dead or hung processes are replaced behind the queue."""

    def __init__(self, settings: ServingSettings, folder: Path, digest: str) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._settings = settings
        self._backlog = Backlog()
        self._suspects = Suspects()
        self._pace = Pace(settings.batch_letters)
        self._crew = Crew(settings, folder, digest, self, self._changed)
        self._jobs: list[Job] = []
        self._numbers = 0
        self._turned_away = Rate()
        self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._swept = 0.0

    @property
    def ready(self) -> bool:
        """Whether a process that has proved itself would take work now."""
        return bool(self._crew.alive) and not self._draining

    @property
    def queued(self) -> int:
        """Texts that wait for a process."""
        return len(self._backlog)

    @property
    def in_flight(self) -> int:
        """Texts that the processes hold."""
        return sum(len(batch.texts) for one in self._crew.alive for batch in one.held)

    @property
    def failure(self) -> str | None:
        """Why no process will ever answer again, if that is so."""
        return self._crew.failure

    @property
    def pids(self) -> list[int]:
        """The processes, also those that are still loading."""
        return self._crew.pids

    @property
    def restarts(self) -> int:
        """How many processes were replaced."""
        return self._crew.restarts

    @property
    def alive(self) -> int:
        """How many processes answer."""
        return len(self._crew.alive)

    async def start(self) -> None:
        """Load the bundle in every process; raises CannotStart with the first one's reason."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._crew.start()
            self._backlog.most = _LETTERS_OF_A_TOKEN * self._crew.alive[0].max_length
        except BaseException:
            self.stop()
            raise

    def classify(
        self, texts: Sequence[str], *, deadline: float, gone: Callable[[], bool]
    ) -> "asyncio.Future[Classified]":
        """The answers in the order of the texts; a Refusal is raised at once or set by `deadline`.

        `deadline` is a time.monotonic(); `gone` says that nobody waits for the answer any more.
        """
        standing = self._suspects.worst(texts)
        self._refuse_unless_admitted(texts, deadline, standing)
        job = Job(
            self._loop.create_future(),
            deadline,
            gone,
            standing is Standing.SUSPECT,
            len(texts),
            [None] * len(texts),
        )
        self._backlog.add(job, texts)
        self._jobs.append(job)
        if self._sweeper is None:
            self._swept = time.monotonic()
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        self._dispatch()
        return job.future

    async def drain(self, seconds: float) -> None:
        """Take no new work and wait until what was taken is answered, at most so long."""
        self._draining = True
        self.on_change()
        end = time.monotonic() + seconds
        while any(not job.over for job in self._jobs) and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def stop(self) -> None:
        """End the processes at once; whoever still waits is told."""
        self._draining = True
        self._crew.stop()
        self._refuse_all("draining", "The model is being taken down")
        for timer in (self._timer, self._sweeper):
            if timer:
                timer.cancel()

    async def ended(self) -> None:
        """Wait, once stopped, until the processes have ended and their memory is back."""
        await self._crew.ended()

    def _refuse_unless_admitted(
        self, texts: Sequence[str], deadline: float, standing: Standing
    ) -> None:
        if self.failure:
            raise Refusal(503, "failed", "The model's process cannot be brought back")
        if self._draining:
            raise Refusal(503, "draining", "The model is being taken down")
        if not self._crew.started:
            raise Refusal(503, "starting", "The model is starting")
        if standing is Standing.CONDEMNED:
            message = "This text ended the model's process twice; it is not classified"
            raise Refusal(422, "validation_error", message)
        waiting = len(self._backlog)
        if waiting and waiting + len(texts) > self._settings.max_queue:
            raise self._overloaded(f"{waiting} texts wait already")
        wait_s = self._pace.seconds(self._cost_ahead(), self.alive)
        if wait_s > _SHARE_OF_DEADLINE * (deadline - time.monotonic()):
            raise self._overloaded("The queue is longer than the deadline")

    def _overloaded(self, why: str) -> Refusal:
        # When half of the queue is gone there is room again for more than one caller; the more are
        # sent away, the later they come back: sending away must not take the time of answering.
        half_s = self._pace.seconds(self._cost_ahead(), self.alive) / 2
        wait_s = max(0.05, half_s, self._turned_away.once_more() / _RETRIES_A_SECOND)
        headers = {
            "Retry-After": str(max(1, round(wait_s + 0.5))),
            "retry-after-ms": str(round(wait_s * 1000)),
        }
        return Refusal(503, "overloaded", why, headers)

    def _cost_ahead(self) -> int:
        return self._backlog.cost + sum(
            batch.cost for one in self._crew.alive for batch in one.held
        )

    def _dispatch(self) -> None:
        """Give the oldest work to whichever process has the least, while one can take more."""
        while self._crew.alive and len(self._backlog):
            process = min(self._crew.alive, key=lambda one: (len(one.held), one.done_at))
            if not self._takes_more(process):
                return
            budget = self._pace.budget(self._backlog.cost, self.alive)
            texts = self._backlog.take(self._settings.batch_size, budget)
            if not texts:
                return
            self._numbers += 1
            now = time.monotonic()
            for text in texts:
                text.job.queue_s = max(text.job.queue_s, now - text.job.began)
            cost = sum(text.cost for text in texts)
            process.done_at = max(now, process.done_at) + self._pace.seconds(cost, 1)
            process.give(Batch(self._numbers, texts, cost, now))

    def _takes_more(self, process: ModelProcess) -> bool:
        """Whether it may have another batch now; if only the time is not ripe, see to it later.

        It is when a full one waits, or when the process is about to have nothing to do: until then
        more may come, and few texts at a time cost more each.
        """
        held = process.held
        if not held:
            return True
        if len(held) > 1 or held[0].texts[0].alone or self._backlog.next_alone():
            return False
        if self._pace.full(self._backlog.cost):
            return True
        early = process.done_at - self._pace.lead_s - time.monotonic()
        if early > 0 and self._timer is None:
            self._timer = self._loop.call_later(early, self._ripe)
        return early <= 0

    def _ripe(self) -> None:
        self._timer = None
        self._dispatch()

    def answered(self, process: ModelProcess, batch: Batch, answers: Answers) -> None:
        now = time.monotonic()
        self._pace.saw(batch.cost, now - process.head_since)
        self._begins_next(process, now)
        self._dispatch()  # first of all: the process must not wait for us
        labels = process.labels
        rows = memoryview(answers.probabilities).cast("d").tolist()
        jobs = {text.job for text in batch.texts}
        for job in jobs:
            job.tokenize_s += answers.tokenize_s
            job.infer_s += answers.infer_s
        for number, text in enumerate(batch.texts):
            row = tuple(rows[number * len(labels) : (number + 1) * len(labels)])
            confidence = max(row)
            label = labels[row.index(confidence)]
            answer = Answer(label, confidence, row, bool(answers.truncated[number]))
            text.job.answer(text.place, answer)
            if text.alone:
                self._suspects.acquit(text.text)

    def _begins_next(self, process: ModelProcess, now: float) -> None:
        process.head_since = now
        process.done_at = now + self._pace.seconds(sum(batch.cost for batch in process.held), 1)

    def unanswered(self, process: ModelProcess, batch: Batch) -> None:
        """The model raised: the text that made it do so is found by trying each one alone."""
        self._begins_next(process, time.monotonic())
        if len(batch.texts) > 1:
            self._backlog.put_back(batch.texts, alone=True)
        else:
            refusal = Refusal(500, "internal_error", "The model could not answer")
            batch.texts[0].job.refuse(refusal)
        self._dispatch()

    def lost(self, process: ModelProcess) -> None:
        """What it was computing is answered now; what it may have begun is tried again, alone."""
        self._crew.drop(process)
        for batch in process.held:
            for text in batch.texts:
                self._suspects.accuse(text.text)
        if process.held:
            for text in process.held.popleft().texts:
                text.job.refuse(Refusal(503, "failed", "The model's process is gone"))
        for batch in reversed(process.held):
            self._backlog.put_back(batch.texts, alone=True)
        process.held.clear()
        self._changed()

    def _changed(self) -> None:
        if self._crew.failure:
            self._refuse_all("failed", "The model's process cannot be brought back")
        self.on_change()
        self._dispatch()

    def _refuse_all(self, error: str, message: str) -> None:
        for job in self._jobs:
            job.refuse(Refusal(503, error, message))
        self._jobs = []
        self._backlog.sweep()

    def _sweep(self) -> None:
        """Answer whose time is up, forget who has left, and end a process that hangs."""
        now = time.monotonic()
        # A sweep that comes late says that the whole machine stood still, not one process.
        late = max(0.0, now - self._swept - 2 * _SWEEP_S)
        self._swept = now
        self._jobs = [job for job in self._jobs if wanted(job)]
        self._backlog.sweep()
        for process in self._crew.alive:
            process.head_since += late
            if process.held and now - process.head_since > self._patience_s(process.held[0]):
                logger.error(f"model process {process.pid} hangs; it is killed")
                process.kill()
        busy = self._jobs or any(process.held for process in self._crew.alive)
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep) if busy else None

    def _patience_s(self, batch: Batch) -> float:
        most = self._settings.model_timeout_s
        usual = self._pace.seconds(batch.cost, 1)
        return min(most, max(_HANGS_S, _HANGS_TIMES * usual)) if usual else most
