"""Bundles small enough to make in a test, yet real: a BERT of random weights and a tokenizer."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

LABELS = ("World", "Sports", "Business", "Sci/Tech")
WORDS = [
    "the",
    "a",
    "of",
    "in",
    "to",
    "and",
    "world",
    "cup",
    "match",
    "team",
    "goal",
    "market",
    "stock",
    "bank",
    "price",
    "shares",
    "science",
    "phone",
    "software",
    "web",
    "space",
    "president",
    "war",
    "peace",
    "talks",
    "game",
    "player",
    "season",
    "profit",
    "oil",
    "company",
    "computer",
]


def make_bundle(
    folder: Path,
    labels: tuple[str, ...] = LABELS,
    *,
    seed: int = 0,
    max_length: int = 32,
    classifier: str = "news",
    spread: float = 0.5,
    engine: Literal["torch", "openvino-int8"] = "torch",
) -> Path:
    """Write a valid bundle; another seed gives another model, the same seed the same bytes.

    Its engine is torch unless asked for: quantising takes seconds that most tests need not wait.
    """
    # Imported late: most tests that load this plugin never need torch.
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    from training import bundle

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *WORDS]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=max_length,
        initializer_range=spread,  # wide tells texts apart untrained, narrow learns faster
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config)
    built = None
    if engine == "openvino-int8":
        from training.quantise import Built, quantised

        names = ("engine.xml", "engine.safetensors")
        rows = [
            fast(f"{one} {other}")["input_ids"]
            for one, other in zip(WORDS, WORDS[5:], strict=False)
        ]
        built = Built(engine, dict(zip(names, quantised(model, rows), strict=True)))
    bundle.write(
        folder,
        model,
        fast,
        classifier=classifier,
        task="news-topic",
        base_model="tiny",
        labels=labels,
        max_length=max_length,
        hyperparameters={"seed": seed},
        metrics={"accuracy": 0.5, "macro_f1": 0.5},
        snapshot_sha256="0" * 64,
        git_sha="0" * 40,
        job_name=f"tiny-{seed}",
        built=built,
    )
    return folder


def make_tar(folder: Path, archive: Path) -> Path:
    """What SageMaker makes of a job's model folder."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, arcname=file.name)
    return archive


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_bundle(labels=(...), seed=0, ...)` is the folder of a valid bundle of its own."""

    def make(labels: tuple[str, ...] = LABELS, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp("bundle") / "model"
        return make_bundle(folder, labels, **options)

    return make


@pytest.fixture(scope="session")
def tiny_model_tar(
    tiny_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """`tiny_model_tar(...)` is the model.tar.gz of a bundle that `tiny_bundle(...)` makes."""

    def make(labels: tuple[str, ...] = LABELS, **options: Any) -> Path:
        archive = tmp_path_factory.mktemp("archive") / "model.tar.gz"
        return make_tar(tiny_bundle(labels, **options), archive)

    return make
