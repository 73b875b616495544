"""The last layer is computed for the token that the head takes, and the answers stay."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from training import engine, quantise
from training.first_token import only_first_token
from training.tokens import padded

SIZES = {"vocab_size": 100, "num_labels": 4, "max_position_embeddings": 66}
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
CONFIGS = {
    "bert": transformers.BertConfig(**SIZES, **BERT),
    "roberta": transformers.RobertaConfig(**SIZES, **BERT, pad_token_id=1),
    "electra": transformers.ElectraConfig(**SIZES, **BERT, embedding_size=16),
    "distilbert": transformers.DistilBertConfig(
        **SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=64
    ),
}


def made(config):
    """A model whose every weight counts: fresh norms and biases are ones and zeros."""
    torch.manual_seed(5)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.3)
    return model


def answers(graph, rows, pad_id):
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = engine.library().compile_model(graph, "CPU", options)
    return compiled(padded(rows, pad_id, multiple=16))[0].copy()


def sizes(graph):
    """How many tokens of a row each product computes; a question mark is all of them."""
    shapes = [
        node.get_output_partial_shape(0)
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "MatMul"
    ]
    return [str(shape[1]) for shape in shapes if len(shape) == 3]


@pytest.mark.parametrize("kind", CONFIGS)
def test_answers_stay_and_the_last_layer_shrinks(kind):
    model, rows = made(CONFIGS[kind]), [[2, *range(3, length)] for length in (5, 17, 9, 30, 4)]
    pad_id = model.config.pad_token_id
    graph = quantise.converted(model, pad_id)
    before, wide = answers(graph, rows, pad_id), sizes(graph)

    changed = only_first_token(graph)

    assert changed
    assert wide[-6:] == ["?"] * 6
    assert sorted(sizes(graph)[-6:]) == ["1", "1", "1", "1", "?", "?"]
    assert answers(graph, rows, pad_id) == pytest.approx(before, abs=1e-5)
    with torch.no_grad():
        inputs = {name: torch.from_numpy(v) for name, v in padded(rows, pad_id).items()}
        wanted = model(**inputs).logits.numpy()
    assert answers(graph, rows, pad_id) == pytest.approx(wanted, abs=1e-4)
    assert np.ptp(wanted, axis=0).min() > 0.1
    for row, answer in zip(rows, wanted, strict=True):
        assert answers(graph, [row], pad_id)[0] == pytest.approx(answer, abs=1e-4)


class AllTokens(torch.nn.Module):
    """Stand in for a classifier whose head takes the first token and, too, the mean of them all."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, **inputs):
        hidden = self.model(**inputs).last_hidden_state
        return SimpleNamespace(logits=hidden[:, 0] + hidden.mean(1))


def test_graph_of_another_form_is_left_as_it_is():
    graph = quantise.converted(AllTokens(made(CONFIGS["bert"]).bert), 0)
    before = [node.get_name() for node in graph.get_ordered_ops()]

    changed = only_first_token(graph)

    assert not changed
    assert [node.get_name() for node in graph.get_ordered_ops()] == before


@pytest.mark.parametrize("kind", ["roberta", "distilbert"])
def test_int8_answers_stay_too(kind, monkeypatch):
    model, rows = made(CONFIGS[kind]), [[2, *range(3, length)] for length in (5, 17, 9, 30, 4)]
    pad_id, changed = model.config.pad_token_id, []
    monkeypatch.setattr(
        quantise, "only_first_token", lambda graph: changed.append(only_first_token(graph))
    )

    short = quantise.quantised(model, rows)
    monkeypatch.setattr(quantise, "only_first_token", lambda graph: None)
    whole = quantise.quantised(model, rows)

    assert changed == [True]
    found, wanted = (
        engine.GraphEngine(*files, pad_id=pad_id, max_length=64, threads=1).begin([rows])()[0]
        for files in (short, whole)
    )
    assert found == pytest.approx(wanted, abs=1e-4)
