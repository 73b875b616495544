import pytest
import torch

from training import base as base_model
from training.processes import Precision


def has(**found):
    """Stand in for a processor: what torch answers when asked for its abilities."""
    return lambda *arguments, **options: found.get("yes", False)


@pytest.mark.parametrize(
    ("device", "amx", "avx512", "graphics", "name"),
    [
        ("cpu", False, False, False, "fp32"),
        ("cpu", True, False, False, "bf16"),
        ("cpu", False, True, False, "bf16"),
        ("cuda:0", False, False, True, "bf16"),
        ("cuda:1", True, True, False, "fp16"),
    ],
)
def test_precision_is_what_the_processor_computes_fast(
    monkeypatch, device, amx, avx512, graphics, name
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", has(yes=amx))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", has(yes=avx512))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has(yes=graphics))

    assert Precision.choose(device).name == name
    assert Precision.choose(device, "fp32").name == "fp32"


def test_a_new_head_depends_on_the_seed_alone(tiny_bundle):
    base = str(tiny_bundle(labels=("yes", "no", "perhaps")))

    heads = [base_model.load(base, ("a", "b"), 32, seed)[0].classifier.weight for seed in (1, 1, 2)]

    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_bf16_changes_the_answer_a_little_and_not_the_weights(base):
    model, _ = base_model.load(str(base), ("a", "b", "c", "d"), 32, 0)
    rows = {"input_ids": torch.tensor([[2, 40, 50, 3]]), "attention_mask": torch.ones(1, 4).long()}
    model.eval()

    with torch.no_grad(), Precision("bf16", torch.bfloat16).autocast("cpu"):
        half = model(**rows).logits
    with torch.no_grad(), Precision("fp32", None).autocast("cpu"):
        full = model(**rows).logits

    assert (half.dtype, full.dtype) == (torch.bfloat16, torch.float32)
    assert torch.allclose(half.float(), full, atol=0.05)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
