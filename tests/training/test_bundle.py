import json
import os
import pickle
import shutil
import tarfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from training import bundle
from training.bundle import BundleError, Classifier
from training.formats import BundleManifest

TEXTS = [
    "world cup match",
    "stock market " * 40,
    "",
    "\ud800 x 😀",
    "software web phone",
    "Ünï\x00",
]


@pytest.fixture(scope="module")
def whole(tiny_bundle):
    return tiny_bundle()


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


def relist(folder, **changes):
    """Write a manifest that lists what lies in the folder now, as someone who forges would."""
    manifest = BundleManifest.model_validate_json((folder / "manifest.json").read_bytes())
    files = {
        file.name: bundle._sha256(file)
        for file in sorted(folder.iterdir())
        if file.name != "manifest.json"
    }
    forged = manifest.model_copy(update={"files": files, **changes})
    (folder / "manifest.json").write_bytes(forged.to_bytes())


def edit(file, change):
    document = json.loads(file.read_text("utf-8"))
    change(document)
    file.write_text(json.dumps(document), "utf-8")


def truncate(folder):
    file = folder / "model.safetensors"
    os.truncate(file, file.stat().st_size // 2)


def flip_a_byte(folder):
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def link(folder):
    (folder / "notes.txt").symlink_to("config.json")


def pickle_as_weights(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    relist(folder)


def pickle_beside(folder):
    torch.save({"a": 1}, folder / "weights.txt")
    relist(folder)


def other_labels_in_config(folder):
    edit(folder / "config.json", lambda config: config["id2label"].update({"0": "Sports"}))
    relist(folder)


def permuted_mapping(folder):
    edit(folder / "label_mappings.json", lambda found: found["label2id"].update({"World": 3}))
    relist(folder)


DAMAGES = {
    "model.safetensors: truncated or altered": truncate,
    "model.safetensors: truncated": flip_a_byte,
    "config.json: missing": lambda folder: (folder / "config.json").unlink(),
    "tokenizer.json: missing": lambda folder: (folder / "tokenizer.json").unlink(),
    "manifest.json: missing": lambda folder: (folder / "manifest.json").unlink(),
    "manifest.json: not a manifest": lambda folder: (folder / "manifest.json").write_text("{}"),
    "manifest.json: not in canonical form": lambda folder: edit(
        folder / "manifest.json", lambda manifest: None
    ),
    "notes.txt: not listed": lambda folder: (folder / "notes.txt").write_text("hello"),
    "notes.txt: is a symbolic link": link,
    "extra: is a folder": lambda folder: (folder / "extra").mkdir(),
    "model.bin: is a pickle": lambda folder: (folder / "model.bin").write_bytes(b"x"),
    "run.py: only .json": lambda folder: (folder / "run.py").write_text("1"),
    "model.safetensors: not a safetensors file": pickle_as_weights,
    "weights.txt: is a pickle": pickle_beside,
    "config.json: id2label is": other_labels_in_config,
    "label_mappings.json: label2id is not": permuted_mapping,
    "config.json: id2label is .* says": lambda folder: relist(folder, labels=("a", "b", "c", "d")),
    "no such folder": shutil.rmtree,
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_damaged_bundle_is_refused_with_the_file_and_the_reason(folder, reason):
    DAMAGES[reason](folder)

    with pytest.raises(BundleError, match=reason):
        bundle.verify(folder)


def test_tokenizer_must_be_there_even_when_the_manifest_does_not_list_it(folder):
    (folder / "tokenizer.json").unlink()
    relist(folder)

    with pytest.raises(BundleError, match=r"tokenizer\.json: missing"):
        bundle.verify(folder)


def test_weights_that_are_not_numbers_are_refused_at_load(folder):
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    relist(folder)

    with pytest.raises(BundleError, match=r"classifier\.weight holds NaN"):
        Classifier.load(folder)


def test_weights_that_are_not_all_there_are_refused_at_load(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.bias"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    relist(folder)

    with pytest.raises(BundleError, match=r"lacks 1 weights, first classifier\.bias"):
        Classifier.load(folder)


def test_same_model_written_twice_has_the_same_digest(whole, tiny_bundle):
    again, other = tiny_bundle(), tiny_bundle(seed=1)

    assert bundle.verify(whole).digest == bundle.verify(again).digest
    assert bundle.verify(whole).digest != bundle.verify(other).digest


def test_predictions_keep_the_order_of_the_texts_whatever_they_hold(whole):
    classifier = Classifier.load(whole)

    together = classifier.predict(TEXTS)
    alone = [classifier.predict([text])[0] for text in TEXTS]

    assert [found.label for found in together] == [found.label for found in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        assert sum(one.probabilities) == pytest.approx(1)
        assert one.confidence == max(one.probabilities)
    assert [found.truncated for found in together] == [False, True, False, False, False, False]


def test_no_texts_no_predictions(whole):
    assert Classifier.load(whole).predict([]) == []


def test_archive_that_writes_outside_its_folder_is_refused(tmp_path):
    archive = tmp_path / "model.tar.gz"
    (tmp_path / "evil.txt").write_text("x")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "evil.txt", arcname="../../outside.txt")

    with pytest.raises(BundleError, match=r"cannot be extracted"):
        bundle.unpack(archive, tmp_path / "a" / "b")

    assert not (tmp_path / "outside.txt").exists()


def test_archive_cut_short_is_refused(tiny_model_tar, tmp_path):
    archive = tiny_model_tar()
    os.truncate(archive, archive.stat().st_size // 2)

    with pytest.raises(BundleError, match=r"cannot be extracted"):
        bundle.unpack(archive, tmp_path / "model")
