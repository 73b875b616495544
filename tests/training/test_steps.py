import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from training import base as base_model
from training.container import Hyperparameters
from training.data import Examples
from training.processes import Precision, Process
from training.steps import Learner, rate_shares

ROWS = Examples(
    ids=[[2, *range(5, 5 + length), 3] for length in (4, 9, 3, 7, 5, 8, 6, 2)],
    labels=[0, 1, 2, 3, 0, 1, 2, 3],
    truncated=0,
)
WEIGHTS = [1.0, 0.5, 2.0, 1.5]
BATCHES = [[0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1]]
CUDA = torch.OutOfMemoryError("CUDA out of memory")
PROCESSOR = RuntimeError(
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
)


class Small(torch.nn.Module):
    """A model on a device whose memory holds a few rows; notes the rows of each pass."""

    def __init__(self, model, rows, error=CUDA):
        super().__init__()
        self.model, self.config = model, model.config
        self.rows, self.error, self.passes = rows, error, []

    def forward(self, input_ids, attention_mask):
        if len(input_ids) > self.rows:
            raise self.error
        self.passes.append(len(input_ids))
        return self.model(input_ids=input_ids, attention_mask=attention_mask)


@pytest.fixture
def learn(base):
    """Learn from both batches with memory for so many rows; the model and what was printed."""

    def run(rows, error=CUDA):
        labels = ("World", "Sports", "Business", "Sci/Tech")
        model, _ = base_model.load(str(base), labels, 32, seed=0)
        for part in model.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
        small = Small(model, rows, error)
        options = Hyperparameters.read({"learning-rate": 1e-3, "warmup-steps": 0})
        alone = Process(0, 1, "cpu")
        learner = Learner(small, options, WEIGHTS, alone, Precision("fp32", None), len(BATCHES))
        losses = [learner.learn(ROWS, batch, step) for step, batch in enumerate(BATCHES)]
        return small, losses, learner.score(ROWS)

    return run


@pytest.mark.parametrize("error", [CUDA, PROCESSOR], ids=["graphics", "processor"])
def test_out_of_memory_cuts_the_batch_and_keeps_its_effect(learn, error, capsys):
    whole, losses, score = learn(rows=8)
    cut, cut_losses, cut_score = learn(rows=3, error=error)

    assert whole.passes == [8, 7, 8]
    assert cut.passes == [2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2]
    assert capsys.readouterr().out.splitlines() == [
        "out of memory: a batch now goes in 2 parts",
        "out of memory: a batch now goes in 4 parts",
    ]
    assert cut_losses == pytest.approx(losses, rel=1e-5)
    assert cut_score == pytest.approx(score, rel=1e-4)
    for ours, theirs in zip(cut.parameters(), whole.parameters(), strict=True):
        # Adam's first steps are as long for a tiny gradient as for a large one.
        assert torch.allclose(ours, theirs, atol=2e-4)


def test_memory_too_small_for_one_row_is_an_error(learn):
    with pytest.raises(torch.OutOfMemoryError):
        learn(rows=0)


def test_another_error_is_not_taken_for_lack_of_memory(learn):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        learn(rows=3, error=RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_gradients_of_the_parts_add_up_to_those_of_the_batch(base):
    found = []
    for parts in (1, 3):
        model, _ = base_model.load(str(base), ("a", "b", "c", "d"), 32, seed=0)
        options = Hyperparameters.read({})
        learner = Learner(model, options, WEIGHTS, Process(0, 1, "cpu"), Precision("", None), 9)
        learner._parts = parts
        model.eval()  # no dropout
        learner._backward(ROWS, BATCHES[0])
        found.append([weight.grad for weight in model.parameters() if weight.grad is not None])

    for one, three in zip(*found, strict=True):
        assert torch.allclose(one, three, atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_the_learning_rate_falls_evenly_from_the_head_to_the_embeddings(kind):
    config = AutoConfig.for_model(kind, vocab_size=32)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)

    shares = rate_shares([name for name, _ in model.named_parameters()])

    layers = config.num_hidden_layers
    falling = [0.1 ** (below / layers) for below in range(layers + 1)]
    assert sorted(set(shares.values()), reverse=True) == pytest.approx(falling)
    head = [name for name in shares if "classifier" in name or "pooler" in name]
    assert {shares[name] for name in head} == {1.0}
    assert {share for name, share in shares.items() if ".embeddings." in name} == {falling[-1]}


def test_a_model_without_numbered_layers_learns_at_one_rate():
    assert rate_shares(["encoder.weight", "head.bias"]) == {"encoder.weight": 1, "head.bias": 1}
