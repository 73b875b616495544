"""Real film plots (` ::: `, 27 classes, strongly imbalanced) through ingest, train and evaluate."""

import gzip
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest
from mlflow import MlflowClient
from plugins.tiny_training import put_base

from flows.evaluate import evaluate
from flows.ingest import ingest
from flows.train import train
from tasks.adapters import aws, registry, results, verdicts
from tasks.errors import GateFailed
from tasks.options import TrainingOptions
from tasks.records import Outcome
from training.formats import Evaluation

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("PERENNIAL_SHARED_DATA", ROOT.parent / "shared" / "data")) / "genre"
MODEL = "bert-genre-classifier"
TEST_ROWS = 300

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"the real film plots are not at {REAL}"),
]


@pytest.fixture
def plots(tmp_path):
    """The real files, with the first lines of the one to be judged on."""
    shutil.copy(REAL / "train_data.txt.gz", tmp_path)
    name = "test_data_solution.txt"
    with gzip.open(REAL / f"{name}.gz", "rt", encoding="utf-8") as lines:
        (tmp_path / name).write_text("".join(islice(lines, TEST_ROWS)), encoding="utf-8")
    return tmp_path


def test_few_film_plots_are_trained_and_judged_but_not_good_enough(
    prefect_server, settings_env, mlflow_server, warm_jobs, tiny_base, plots, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    base = put_base(aws.client("s3"), tiny_base)
    options = TrainingOptions(base_model=base, epochs=1, max_length=24, batch_size=32)

    with caplog.at_level("INFO", logger="tasks"):
        snapshot = ingest("genre", source=str(plots), sample_size=400)
        version = train("genre", options=options)
        with pytest.raises(GateFailed) as refused:
            evaluate("genre")

    assert snapshot.rows_read == 2_110 + TEST_ROWS
    assert (snapshot.rows["train"], len(snapshot.labels)) == (400, 27)
    assert 0 <= TEST_ROWS - snapshot.rows["test"] <= sum(snapshot.dropped.values()) < 36
    assert any("class weights: inverse square root of the counts" in m for m in caplog.messages)

    verdict = verdicts.read(
        aws.client("s3"), "perennial-models-test", "genre", version.bundle_digest
    )
    assert verdict is not None
    assert (verdict.outcome, verdict.version) == (Outcome.FAIL, version.version)
    seen = verdict.numbers["macro_f1"]
    assert f"macro-F1 {seen:.4f} under the floor 0.200" in verdict.reasons
    assert refused.value.reasons == verdict.reasons
    assert f"accuracy {verdict.numbers['accuracy']:.4f} under the floor 0.400" in str(refused.value)

    folder = verdict.evaluation_uri.removesuffix("/evaluation.json")
    found = Evaluation.model_validate_json(results.evaluation(aws.client("s3"), folder))
    assert [len(row) for row in found.challenger.confusion] == [27] * 27
    assert sum(map(sum, found.challenger.confusion)) == found.rows == snapshot.rows["test"]
    client = registry.client(mlflow_server)
    assert MlflowClient(mlflow_server).get_registered_model(MODEL).aliases == {
        "challenger": version.version
    }
    assert registry.get_tags(client, MODEL, version.version)["verdict"] == "FAIL"
