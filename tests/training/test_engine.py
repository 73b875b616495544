"""The int8 engine of a bundle: it answers as fp32 does, without torch, and never runs code."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from training import bundle
from training.bundle import BundleError, Classifier
from training.formats import BundleManifest

TEXTS = ["world cup match", "stock market " * 40, "", "\ud800 x", "software web phone"] * 9


@pytest.fixture(scope="module")
def quantised(tiny_bundle):
    return tiny_bundle(engine="openvino-int8")


@pytest.fixture
def folder(quantised, tmp_path):
    return shutil.copytree(quantised, tmp_path / "bundle")


def relist(folder):
    """Write a manifest that lists what lies in the folder now, as someone who forges would."""
    manifest = BundleManifest.model_validate_json((folder / "manifest.json").read_bytes())
    files = {name: bundle._sha256(folder / name) for name in manifest.files}
    forged = manifest.model_copy(update={"files": files})
    (folder / "manifest.json").write_bytes(forged.to_bytes())


def rewrite(folder, old, new):
    graph = (folder / "engine.xml").read_bytes()
    assert old in graph
    (folder / "engine.xml").write_bytes(graph.replace(old, new))
    relist(folder)


def flip_a_byte(folder):
    content = bytearray((folder / "engine.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "engine.safetensors").write_bytes(content)


def cut_weights(folder):
    blob = load_file(folder / "engine.safetensors")["weights"]
    save_file({"weights": blob[: len(blob) // 2]}, folder / "engine.safetensors")
    relist(folder)


def weights_of_another_kind(folder):
    save_file({"weights": np.ones((2, 2), np.float32)}, folder / "engine.safetensors")
    relist(folder)


def weights_that_are_no_numbers(folder):
    blob = load_file(folder / "engine.safetensors")["weights"]
    save_file({"weights": np.full_like(blob, 255)}, folder / "engine.safetensors")
    relist(folder)


DAMAGES = {
    "engine.safetensors: truncated or altered": flip_a_byte,
    "engine.xml: missing": lambda folder: (folder / "engine.xml").unlink(),
    "engine.xml: holds an operation": lambda folder: rewrite(folder, b'"opset1"', b'"extension"'),
    "engine.xml: holds declarations": lambda folder: rewrite(folder, b"</net>", b"<!---->\n</net>"),
    "engine.xml: is not an OpenVINO": lambda folder: rewrite(folder, b"<net ", b"<xet "),
    "OpenVINO cannot build it": cut_weights,
    "not one row of bytes": weights_of_another_kind,
    "openvino-int8 engine: ": weights_that_are_no_numbers,
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_damaged_engine_is_refused_with_the_reason(folder, reason):
    DAMAGES[reason](folder)

    with pytest.raises(BundleError, match=reason):
        Classifier.load(folder)


def test_int8_answers_as_fp32_does(quantised, tiny_bundle):
    precise = Classifier.load(tiny_bundle()).predict(TEXTS)
    classifier = Classifier.load(quantised, threads=1)

    found = classifier.predict(TEXTS)

    assert classifier.manifest.engine == "openvino-int8"
    for one, other in zip(precise, found, strict=True):
        assert one.truncated == other.truncated
        assert other.probabilities == pytest.approx(one.probabilities, abs=0.25)
        assert sum(other.probabilities) == pytest.approx(1)


@pytest.mark.parametrize("threads", [1, 4])
def test_batches_side_by_side_answer_as_each_text_alone(quantised, threads):
    classifier = Classifier.load(quantised, threads=threads)
    alone = [classifier.predict([text])[0].probabilities for text in TEXTS]

    together = [one.probabilities for one in classifier.predict(TEXTS)]

    assert together == [pytest.approx(one, abs=1e-4) for one in alone]


def test_what_is_begun_later_may_be_asked_for_first(quantised):
    classifier = Classifier.load(quantised, threads=2)
    encoded = classifier.encode(TEXTS * 20)
    wanted = classifier.probabilities(encoded), classifier.probabilities(encoded[:3])

    first, second = classifier.begin(encoded), classifier.begin(encoded[:3])
    found = second(), first()

    for given, right in zip(found, reversed(wanted), strict=True):
        np.testing.assert_allclose(given, right, atol=1e-6)


def test_threads_may_share_a_classifier(quantised):
    classifier = Classifier.load(quantised)
    pairs = [TEXTS[number : number + 2] * 20 for number in range(len(TEXTS) - 1)]
    one_by_one = [classifier.predict(pair) for pair in pairs]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(classifier.predict, pairs))

    assert together == one_by_one


def test_serving_the_int8_engine_imports_no_torch(quantised):
    program = (
        "import sys, pathlib; from training.bundle import Classifier;"
        f" Classifier.load(pathlib.Path({str(quantised)!r})).predict(['world cup']);"
        " sys.exit(bool({'torch', 'transformers', 'openvino_telemetry.main'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


def test_manifest_from_before_there_were_engines_keeps_its_bytes(tiny_bundle):
    manifest = bundle.verify(tiny_bundle())

    assert b"engine_note" not in manifest.to_bytes()
    assert manifest.engine == "torch"
