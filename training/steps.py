"""One step of learning: loss, gradients, update, whatever the processor."""

import math
from typing import Any

import torch
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from training import metrics
from training.checkpoints import Weights
from training.container import Hyperparameters, TrainingError
from training.data import Examples
from training.processes import Precision, Process
from training.tokens import pad

_WARMUP_SHARE = 0.1
_CLIP = 1.0
_VALIDATION_BATCH = 64


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
        self._model = self._network = model.to(process.device)
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
        if self._process.world > 1:
            self._network = DistributedDataParallel(self._model)

    def learn(self, examples: Examples, batch: list[int], step: int) -> float:
        """The loss of the batch, before the model was moved against it."""
        self._model.train()
        # Dropout depends on the step alone, so a resumed run draws what an unbroken one draws.
        seed = (self._options.seed << 32) + step * self._process.world + self._process.rank
        torch.manual_seed(seed)
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * self._factor(step)
        loss = self._gradients(examples, batch)
        if not math.isfinite(loss):
            raise TrainingError(
                f"loss is {loss} at step {step + 1}: lower learning-rate, which is"
                f" {self._options.learning_rate}"
            )
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
            logits = self._logits(self._model, examples, batch).float()
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

    def _gradients(self, examples: Examples, batch: list[int]) -> float:
        """Gradients of a whole batch; when memory runs out, of its parts one after the other."""
        while True:
            try:
                return self._backward(examples, batch)
            except torch.OutOfMemoryError:
                if self._process.world > 1 or self._parts >= len(batch):
                    raise
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
            logits = self._logits(self._network, examples, part)
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

    def _logits(self, network: Any, examples: Examples, rows: list[int]) -> torch.Tensor:
        inputs = pad([examples.ids[row] for row in rows], self._pad_id)
        with self._precision.autocast(self._process.device):
            found: torch.Tensor = network(
                **{name: values.to(self._process.device) for name, values in inputs.items()}
            ).logits
        return found


def _optimizer(model: Any, options: Hyperparameters) -> torch.optim.AdamW:
    """AdamW that decays matrices only: biases and norms have no reason to be small."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
