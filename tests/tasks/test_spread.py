from dataclasses import fields
from datetime import UTC, datetime, timedelta

import boto3
import numpy as np
from distributed import LocalCluster
from plugins.references import NAMES, OURS, ship, table, tokenizer
from prefect import flow, task

from tasks import features, spread
from tasks.adapters import aws, predictions, reference
from tasks.drift_records import Checked
from tasks.policy.signals import Features
from training import encoder

BUCKET = "spread-data"
FOLDER = f"s3://{BUCKET}/evaluation"
START = datetime(2026, 11, 20, tzinfo=UTC)
DAY = Checked("news", "3", OURS, START, START + timedelta(hours=6))


def content(one: Features) -> dict[str, object]:
    return {column.name: flat(getattr(one, column.name)) for column in fields(Features)}


def flat(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, value.tobytes()
    return {name: flat(one) for name, one in value.items()} if isinstance(value, dict) else value


def test_two_workers_come_to_the_same_bytes_as_one_process(sandbox, prefect_server, monkeypatch):
    monkeypatch.setattr(spread, "_PART_ROWS", 150)
    s3 = aws.client("s3")
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    for name, body in (
        ("tokenizer.json", tokenizer().encode()),
        ("encoder.npz", encoder.pack(table())),
    ):
        s3.put_object(Bucket=BUCKET, Key=f"evaluation/{name}", Body=body)
    for hour in range(6):
        ship(s3, BUCKET, START + timedelta(hours=hour), 200, seed=hour)
    selection = predictions.select(s3, BUCKET, DAY, max_rows=700)
    alone = features.of_batches(
        predictions.read(s3, selection, features.COLUMNS), reference.read_encoder(s3, FOLDER), NAMES
    )

    @task
    def spread_out(scheduler: str) -> Features:
        return spread.measured(selection, FOLDER, NAMES, scheduler)

    @flow
    def measure(scheduler: str) -> Features:
        return spread_out(scheduler)

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        found = measure(cluster.scheduler_address)

    assert len(selection.parts(150)) == 3
    assert (len(found), found.total) == (700, 960)
    assert content(found) == {**content(alone), "total": 960}
