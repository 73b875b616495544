from pathlib import Path

import numpy as np
import pytest
from plugins.jobs import make_snapshot

from training import embeddings, evaluate
from training.bundle import Classifier
from training.encoder import Encoder
from training.reference import ReferenceRows

FILES = ("reference.parquet", "encoder.npz", "tokenizer.json")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, tiny_bundle):
    """Folders of a bundle, its test rows, and what evaluating it twice wrote."""
    folder = tmp_path_factory.mktemp("evaluated")
    model, test = tiny_bundle(), make_snapshot(folder / "test")
    for name in ("first", "second"):
        wanted = {"challenger": model, "test": test, "output": folder / name}
        evaluate.main([part for key, at in wanted.items() for part in (f"--{key}", str(at))])
    return model, test, folder / "first", folder / "second"


def encoder_in(folder: Path) -> Encoder:
    return Encoder.of(
        (folder / "tokenizer.json").read_text("utf-8"), (folder / "encoder.npz").read_bytes()
    )


def test_evaluation_leaves_the_rows_as_the_bundle_answers_them(evaluated):
    model, test, output, _ = evaluated
    classifier = Classifier.load(model)

    found = ReferenceRows.from_bytes((output / "reference.parquet").read_bytes())

    _, rows = evaluate._read(test)
    said = classifier.predict(rows.texts)
    assert (found.bundle_digest, found.labels) == (
        classifier.manifest.digest,
        classifier.manifest.labels,
    )
    assert found.rows["text"].to_pylist() == rows.texts
    assert found.rows["label_true"].to_pylist() == rows.labels
    assert found.rows["label"].to_pylist() == [one.label for one in said]
    assert found.rows["truncated"].to_pylist() == [one.truncated for one in said]
    told = [one.probabilities for one in said]
    np.testing.assert_allclose(found.rows["probabilities"].to_pylist(), told, atol=1e-6)


def test_small_vectors_keep_the_distances_between_texts(evaluated):
    model, _, output, _ = evaluated
    encoder, whole = encoder_in(output), embeddings.token_table(model)
    texts = ["the goal of the match", "a bank in the market", "software and the web", "peace talks"]

    tokens = encoder.reader(texts)
    small, large = tokens.means(encoder.table), tokens.means(whole)

    assert encoder.table.shape == whole.shape == (len(whole), 32)
    one, other = (np.linalg.norm(v[:, None] - v[None], axis=2) for v in (small, large))
    np.testing.assert_allclose(one, other, atol=0.01)


def test_same_evaluation_writes_the_same_bytes(evaluated):
    *_, first, second = evaluated

    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_directions_are_those_along_which_texts_differ_most():
    random = np.random.default_rng(0)
    table = random.normal(size=(500, 200)).astype(np.float32) * np.linspace(9, 0.01, 200)
    ids = random.integers(0, 500, 6000).astype(np.int32)
    tokens = embeddings.Tokens(ids, np.arange(0, 6001, 20))

    found = embeddings.projected(table.astype(np.float32), tokens)

    spread = tokens.means(found).var(axis=0)
    assert found.shape == (500, 64)
    assert (np.diff(spread) <= 1e-6).all()
    assert spread.sum() > 0.6 * tokens.means(table.astype(np.float32)).var(axis=0).sum()
