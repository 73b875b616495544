import json

import pytest
from plugins.jobs import LABELS, make_snapshot

from training import evaluate
from training.formats import Evaluation


@pytest.fixture
def opt_ml(tmp_path, tiny_model_tar, monkeypatch):
    """A processing job's folders with a challenger and a test split, no champion."""
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))
    inputs = tmp_path / "processing" / "input"
    make_snapshot(inputs / "test")
    (inputs / "challenger").symlink_to(tiny_model_tar(seed=1).parent)
    return tmp_path


def champion(opt_ml, archive):
    (opt_ml / "processing" / "input" / "champion").symlink_to(archive.parent)


def written(opt_ml):
    file = opt_ml / "processing" / "output" / "evaluation" / "evaluation.json"
    return Evaluation.model_validate_json(file.read_bytes())


def failure(opt_ml):
    with pytest.raises(SystemExit) as left:
        evaluate.main([])
    assert left.value.code == 1
    assert not (opt_ml / "processing" / "output").exists()
    return (opt_ml / "output" / "failure").read_text()


def test_first_model_is_scored_without_a_champion(opt_ml):
    evaluate.main([])

    found = written(opt_ml)
    assert (found.rows, found.labels, found.champion, found.paired) == (24, LABELS, None, None)
    assert sum(map(sum, found.challenger.confusion)) == 24
    assert sum(score.support for score in found.challenger.classes.values()) == 24
    assert found.challenger.latency.p50_ms <= found.challenger.latency.p99_ms
    assert (found.challenger.latency.calls, found.challenger.batch_latency.texts) == (24, 24)
    assert sum(one.rows for one in found.challenger.bins) == 24
    assert [one.champion_right for one in found.slices] == [None] * len(found.slices)


def test_champion_of_permuted_labels_is_compared_by_label(opt_ml, tiny_model_tar):
    champion(opt_ml, tiny_model_tar(LABELS[::-1], seed=2))

    evaluate.main([])

    found = written(opt_ml)
    pairs = found.paired
    assert pairs.both_right + pairs.only_challenger == round(found.challenger.accuracy * 24)
    assert pairs.both_right + pairs.only_champion == round(found.champion.accuracy * 24)
    assert sum(pairs.model_dump().values()) == 24
    for part in found.slices:
        won, lost = part.only_challenger, part.only_champion
        assert part.right - won == part.champion_right - lost
    said = found.answers
    for answers, score in ((said.challenger, found.challenger), (said.champion, found.champion)):
        for truth, row in enumerate(score.confusion):
            seen = [a for t, a in zip(said.truth, answers, strict=True) if t == truth]
            assert row == tuple(seen.count(label) for label in range(len(LABELS)))


def test_champion_of_other_labels_is_left_out_and_the_log_says_so(opt_ml, tiny_model_tar, capfd):
    champion(opt_ml, tiny_model_tar(("good", "bad")))

    evaluate.main([])

    assert (written(opt_ml).champion, written(opt_ml).paired) == (None, None)
    assert written(opt_ml).champion_refused.startswith("its labels are good, bad, the challenger's")
    assert "champion left out: its labels are good, bad" in capfd.readouterr().out


def test_champion_that_cannot_be_read_fails_the_evaluation(opt_ml, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.tar.gz").write_bytes(b"no archive")
    champion(opt_ml, tmp_path / "broken" / "model.tar.gz")

    assert "broken" in failure(opt_ml) or "champion" in failure(opt_ml)


def test_label_that_the_model_does_not_know_is_named(opt_ml, tmp_path, tiny_model_tar):
    inputs = opt_ml / "processing" / "input" / "challenger"
    inputs.unlink()
    inputs.symlink_to(tiny_model_tar(("World", "Sports", "Business")).parent)

    assert "label 'Sci/Tech' is unknown to the challenger" in failure(opt_ml)


def test_rows_that_are_not_those_of_the_manifest_are_refused(opt_ml):
    file = opt_ml / "processing" / "input" / "test" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["files"]["test"]["sha256"] = "0" * 64
    file.write_text(json.dumps(manifest))

    assert "SHA-256 of its lines" in failure(opt_ml)
