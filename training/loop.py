"""The training loop: epochs, the best one kept, and where it stands on disk."""

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import FrameType

from training.checkpoints import Checkpoints, Weights
from training.container import Hyperparameters
from training.data import Examples, batches
from training.formats import Epoch, EpochLine, Progress
from training.processes import Process
from training.steps import Learner

_SAY_EVERY_S = 2.0
_STOPPED = 128 + signal.SIGTERM


@dataclass(slots=True)
class Position:
    """Where training stands; with weights and optimizer it is all that a resume needs.

    Chance is drawn anew from seed and step at each step, so there is no generator state to keep.
    """

    step: int = 0
    loss_sum: float = 0.0
    curve: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        return max(self.curve, key=lambda score: (score.macro_f1, score.accuracy))

    @property
    def since_best(self) -> int:
        """Epochs since the best one."""
        return len(self.curve) - self.best.epoch if self.curve else 0


def steps_per_epoch(rows: int, options: Hyperparameters, process: Process) -> int:
    return math.ceil(math.ceil(rows / options.per_device_train_batch_size) / process.world)


class Loop:
    """Trains the learner's model in place; after `run` it holds the weights of the best epoch."""

    def __init__(
        self,
        learner: Learner,
        train: Examples,
        validation: Examples,
        options: Hyperparameters,
        process: Process,
        checkpoints: Checkpoints | None = None,
        on_epoch: Callable[[Epoch], None] = lambda score: None,
    ) -> None:
        self._learner, self._train, self._validation = learner, train, validation
        self._options, self._process = options, process
        self._checkpoints = checkpoints
        self._on_epoch = on_epoch
        self._in_epoch = steps_per_epoch(len(train), options, process)
        self.steps = self._in_epoch * options.num_train_epochs
        # A falling rate gains most in its last epochs: half of the plan is given a chance to.
        self._patience = max(2, options.num_train_epochs // 2)
        self.position = Position()
        self._best: Weights | None = None
        self._stop = False
        self._began = self._said = time.monotonic()
        self._first_step = 0

    def run(self) -> Position:
        with self._stopping_on_sigterm():
            self._resume()
            self._learner.start()
            self._began, self._first_step = time.monotonic(), self.position.step
            while len(self.position.curve) < self._options.num_train_epochs:
                if self._process.agree(int(self.position.since_best >= self._patience)):
                    self._say(f"early stop: no better epoch in the last {self._patience}")
                    break
                self._epoch()
        if self._best is not None:
            self._learner.restore(self._best)
        return self.position

    @property
    def rows_per_s(self) -> float:
        """Since this process started, over all processes."""
        rows = self._options.per_device_train_batch_size * self._process.world
        done = self.position.step - self._first_step
        return done * rows / max(time.monotonic() - self._began, 1e-9)

    def _epoch(self) -> None:
        epoch = len(self.position.curve)
        todo = batches(
            self._train,
            self._options.per_device_train_batch_size,
            seed=self._options.seed,
            epoch=epoch,
            rank=self._process.rank,
            world=self._process.world,
        )
        for batch in todo[self.position.step - epoch * self._in_epoch :]:
            loss = self._learner.learn(self._train, batch, self.position.step)
            self.position.step += 1
            self.position.loss_sum += loss
            self._progress(epoch, loss)
            if self._stop:
                self._leave()
            if self._checkpoints and self._process.first and self._checkpoints.due:
                self._save()
        self._finish_epoch(epoch + 1)

    def _finish_epoch(self, epoch: int) -> None:
        """Score the epoch: only the first process does, the others learn what follows from it."""
        train_loss = self.position.loss_sum / self._in_epoch
        self.position.loss_sum = 0.0
        if not self._process.first:
            self.position.curve.append(Epoch(epoch, train_loss, 0.0, 0.0, 0.0))
            return
        score = Epoch(epoch, train_loss, *self._learner.score(self._validation))
        self.position.curve.append(score)
        if self.position.best is score:
            self._best = self._learner.weights()
        epochs = self._options.num_train_epochs
        self._say(EpochLine(epoch, epochs, train_loss, score.accuracy, score.macro_f1).line())
        # Saved first: a job that dies while it reports must not train the epoch again.
        self._save()
        self._on_epoch(score)

    def _resume(self) -> None:
        if self._checkpoints is None:
            return
        step = self._checkpoints.newest() if self._process.first else 0
        if not (step := self._process.agree(step)):
            return
        found = self._checkpoints.load(step)
        curve = [Epoch(**score) for score in found.position["curve"]]
        self.position = Position(step, found.position["loss_sum"], curve)
        self._learner.restore(found.model, found.optimizer)
        self._best = found.best
        self._say(f"resumed from the checkpoint at step {step}/{self.steps}")

    def _save(self) -> None:
        if self._checkpoints is None:
            return
        self._checkpoints.save(
            asdict(self.position),
            self._learner.weights(),
            self._best,
            self._learner.optimizer_state(),
        )

    @contextmanager
    def _stopping_on_sigterm(self) -> Iterator[None]:
        """Leave after the step under way; the first process decides, the others follow it."""

        def stop(number: int, frame: FrameType | None) -> None:
            self._stop = self._process.first

        before = signal.signal(signal.SIGTERM, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _leave(self) -> None:
        self._save()
        kept = "checkpoint written" if self._checkpoints else "no checkpoint folder"
        self._say(f"stopped by SIGTERM at step {self.position.step}/{self.steps}: {kept}")
        sys.exit(_STOPPED)

    def _progress(self, epoch: int, loss: float) -> None:
        now = time.monotonic()
        in_epoch = self.position.step - epoch * self._in_epoch
        last = in_epoch == self._in_epoch
        if not self._process.first or (now - self._said < _SAY_EVERY_S and not last):
            return
        self._said = now
        rows = self._options.per_device_train_batch_size * self._process.world
        left = (self.steps - self.position.step) * rows / max(self.rows_per_s, 1e-9)
        line = Progress(
            epoch=epoch + 1,
            epochs=self._options.num_train_epochs,
            step=in_epoch,
            steps=self._in_epoch,
            loss=loss,
            rows_per_s=self.rows_per_s,
            eta_s=round(left),
        ).line()
        self._say(line)

    def _say(self, line: str) -> None:
        if self._process.first:
            print(line, flush=True)
