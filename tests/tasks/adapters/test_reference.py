from typing import Any

import boto3
import pytest
from plugins.evaluations import judged
from plugins.references import reference, table, tokenizer

from tasks.adapters import aws, verdicts
from tasks.adapters import reference as references
from tasks.errors import MonitorBroken
from tasks.records import Served
from training import encoder

BUCKET = "references-models"
FOLDER = f"s3://{BUCKET}/evaluations/job/evaluation"
SERVED = Served("7", "s3://models/model.tar.gz", "d" * 64, "ec2")
FILES = {
    "reference.parquet": reference(20).to_bytes(),
    "encoder.npz": encoder.pack(table()),
    "tokenizer.json": tokenizer().encode(),
}


@pytest.fixture
def s3(sandbox) -> Any:
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    client = aws.client("s3")
    for name, content in FILES.items():
        put(client, name, content)
    verdicts.write(client, BUCKET, judged(evaluation_uri=f"{FOLDER}/evaluation.json"))
    return client


def put(s3: Any, name: str, content: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"evaluations/job/evaluation/{name}", Body=content)


def test_reference_of_the_serving_version_is_found(s3):
    found = references.find(s3, BUCKET, "news", SERVED)

    assert (found.folder_uri, found.names) == (FOLDER, ("World", "Sports", "Business", "Sci/Tech"))
    assert found.rows.rows.num_rows == 20
    assert found.encoder.table.shape == table().shape


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("content", [None, b"broken"])
def test_missing_or_broken_file_is_named_with_what_to_run(s3, name, content):
    if content is None:
        s3.delete_object(Bucket=BUCKET, Key=f"evaluations/job/evaluation/{name}")
    else:
        put(s3, name, content)

    with pytest.raises(MonitorBroken, match=rf"{FOLDER}.*: run|{FOLDER}.*; run") as told:
        references.find(s3, BUCKET, "news", SERVED)

    assert "prefect deployment run 'evaluate/news' -p version='\"7\"'" in str(told.value)
    assert content is None or name in str(told.value)


def test_version_that_nobody_evaluated_has_no_reference(s3):
    with pytest.raises(MonitorBroken, match=r"eee\.json: version 8 was never evaluated; run"):
        references.find(s3, BUCKET, "news", Served("8", "s3://x", "e" * 64, "ec2"))


def test_reference_of_another_bundle_is_refused(s3):
    put(s3, "reference.parquet", reference(20, digest="f" * 64).to_bytes())

    with pytest.raises(MonitorBroken, match="is of bundle ffffffffffff, version 7 is bundle ddd"):
        references.find(s3, BUCKET, "news", SERVED)
