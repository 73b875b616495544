"""One step of learning: loss, gradients, update, whatever the processor."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from training import metrics
from training.checkpoints import Weights
from training.container import Hyperparameters, TrainingError
from training.data import Examples
from training.processes import Precision, Process
from training.tokens import pad

_WARMUP_SHARE = 0.1
_CLIP = 1.0
_VALIDATION_BATCH = 64
# What the lowest layer learns at, as a share of the head's rate. Lower layers know the language and
# the head knows nothing: at one rate for all, either they forget or it does not learn.
_LOWEST = 0.1
# How transformers' encoders number their layers in the names of weights.
_LAYER = re.compile(r"\.layers?\.(\d+)\.")


class Learner:
    """A model in training, with its optimizer; learns from one batch at a time."""

    def __init__(
        self,
        model: Any,
        options: Hyperparameters,
        class_weights: list[float],
        process: Process,
        precision: Precision,
        steps: int,
    ) -> None:
        self._model = model.to(process.device)
        self._options, self._process, self._precision = options, process, precision
        self._class_weights = torch.tensor(class_weights, device=process.device)
        self._pad_id = model.config.pad_token_id or 0
        self._optimizer = _optimizer(model, options)
        self._scaler = torch.amp.GradScaler("cuda", enabled=precision.dtype == torch.float16)
        self._steps = steps
        self._warmup = min(options.warmup_steps, int(steps * _WARMUP_SHARE))
        self._parts = 1

    def start(self) -> None:
        """Call once the weights to start from are in place."""
        if self._warmup < self._options.warmup_steps and self._process.first:
            print(
                f"warning: warmup-steps {self._options.warmup_steps} is over {_WARMUP_SHARE:.0%} of"
                f" this job's {self._steps} steps; warming up for {self._warmup}",
                flush=True,
            )
        self._process.same(self._model.state_dict().values())

    def learn(self, examples: Examples, batch: list[int], step: int) -> float:
        """The loss of the batch, before the model was moved against it."""
        self._model.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * group["share"] * self._factor(step)
        loss = self._gradients(examples, batch, step)
        if not math.isfinite(loss):
            raise TrainingError(
                f"loss is {loss} at step {step + 1}: lower learning-rate, which is"
                f" {self._options.learning_rate}"
            )
        self._process.average([w.grad for w in self._model.parameters() if w.grad is not None])
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), _CLIP)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return loss

    @torch.no_grad()
    def score(self, examples: Examples) -> tuple[float, float, float]:
        """Mean loss, accuracy and macro-F1 on rows it does not learn from."""
        self._model.eval()
        rows = sorted(range(len(examples)), key=lambda row: len(examples.ids[row]))
        truth: list[str] = []
        answers: list[str] = []
        loss = 0.0
        for start in range(0, len(rows), _VALIDATION_BATCH):
            batch = rows[start : start + _VALIDATION_BATCH]
            logits = self._answers(examples, batch).float()
            labels = torch.tensor([examples.labels[row] for row in batch]).to(logits.device)
            loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
            truth += map(str, labels.tolist())
            answers += map(str, logits.argmax(dim=-1).tolist())
        return loss / len(rows), metrics.accuracy(truth, answers), metrics.macro_f1(truth, answers)

    def weights(self) -> Weights:
        """A copy of the model's weights, on the host."""
        state = self._model.state_dict()
        return {name: value.detach().cpu().clone() for name, value in state.items()}

    def restore(self, weights: Weights, optimizer: dict[str, Any] | None = None) -> None:
        self._model.load_state_dict(weights)
        if optimizer is not None:
            self._optimizer.load_state_dict(optimizer["optimizer"])
            self._scaler.load_state_dict(optimizer["scaler"])

    def optimizer_state(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def _factor(self, step: int) -> float:
        """Share of the learning rate: up to all of it over the warm-up, then down to nothing."""
        if step < self._warmup:
            return (step + 1) / self._warmup
        return (self._steps - step) / max(1, self._steps - self._warmup)

    def _gradients(self, examples: Examples, batch: list[int], step: int) -> float:
        """Gradients of a whole batch; when memory runs out, of its parts one after the other.

        Processes speak to each other only afterwards, so each may cut its batch as it must.
        """
        # Dropout depends on the step alone, so a resumed run draws what an unbroken one draws.
        seed = (self._options.seed << 32) + step * self._process.world + self._process.rank
        while True:
            torch.manual_seed(seed)
            try:
                return self._backward(examples, batch)
            except RuntimeError as error:
                if not _out_of_memory(error) or self._parts >= len(batch):
                    raise
            # Out of the handler: until then the error's frames hold the memory of the attempt.
            self._parts *= 2
            self._optimizer.zero_grad(set_to_none=True)
            print(f"out of memory: a batch now goes in {self._parts} parts", flush=True)

    def _backward(self, examples: Examples, batch: list[int]) -> float:
        labels = torch.tensor([examples.labels[row] for row in batch])
        whole = self._class_weights[labels.to(self._process.device)].sum()
        size = math.ceil(len(batch) / self._parts)
        total = 0.0
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            logits = self._logits(examples, part)
            loss = functional.cross_entropy(
                logits.float(),
                labels[start : start + size].to(self._process.device),
                weight=self._class_weights,
                reduction="sum",
            )
            loss = loss / whole
            torch.autograd.backward(self._scaler.scale(loss))
            total += loss.item()
        return total

    def _answers(self, examples: Examples, rows: list[int]) -> torch.Tensor:
        """The logits, from as few rows at a time as the memory holds."""
        try:
            return self._logits(examples, rows)
        except RuntimeError as error:
            if not _out_of_memory(error) or len(rows) == 1:
                raise
        half = len(rows) // 2
        halves = rows[:half], rows[half:]
        return torch.cat([self._answers(examples, part) for part in halves])

    def _logits(self, examples: Examples, rows: list[int]) -> torch.Tensor:
        inputs = pad([examples.ids[row] for row in rows], self._pad_id)
        with self._precision.autocast(self._process.device):
            found: torch.Tensor = self._model(
                **{name: values.to(self._process.device) for name, values in inputs.items()}
            ).logits
        return found


def _out_of_memory(error: RuntimeError) -> bool:
    """Graphics processors have an error of their own for it, the main processor has words."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _optimizer(model: Any, options: Hyperparameters) -> torch.optim.AdamW:
    """AdamW that decays matrices only: biases and norms have no reason to be small."""
    groups: dict[tuple[float, float], list[Any]] = defaultdict(list)
    weights = [(name, w) for name, w in model.named_parameters() if w.requires_grad]
    shares = rate_shares([name for name, _ in weights])
    for name, weight in weights:
        groups[shares[name], options.weight_decay if weight.ndim > 1 else 0.0].append(weight)
    return torch.optim.AdamW(
        [
            {"params": group, "share": share, "weight_decay": decay}
            for (share, decay), group in groups.items()
        ],
        lr=options.learning_rate,
        fused=True,
    )


def rate_shares(names: Sequence[str]) -> dict[str, float]:
    """For each weight its share of the learning rate, falling evenly from the head downwards.

    Layer-wise decay as in ELECTRA (arXiv:2003.10555) and Sun et al. (arXiv:1905.05583).
    """
    numbers = {name: int(found[1]) for name in names if (found := _LAYER.search(name))}
    layers = max(numbers.values(), default=-1) + 1
    below = {name: layers for name in names if ".embeddings." in name}
    below |= {name: layers - 1 - number for name, number in numbers.items()}
    return {name: _LOWEST ** (below.get(name, 0) / max(1, layers)) for name in names}
