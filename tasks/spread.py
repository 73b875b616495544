"""Rows as numbers in many processes at once: the parts of a log, by the workers of a Dask cluster.

The same functions as in one process, and the same bytes. Workers need this package, the
environment's AWS_* variables and the way to Prefect's API.
"""

from dataclasses import replace
from functools import lru_cache

from prefect_dask import DaskTaskRunner

from tasks import features
from tasks.adapters import aws, predictions, reference
from tasks.adapters.predictions import Selection
from tasks.policy.signals import Features, joined
from tasks.retries import live
from training.encoder import Encoder

_PART_ROWS = 20_000


@live
def measure_part(selection: Selection, folder_uri: str, names: tuple[str, ...]) -> Features:
    """The selected rows as numbers; `folder_uri` is where the encoder is, empty for no texts."""
    batches = predictions.read(aws.client("s3"), selection, features.COLUMNS)
    return features.of_batches(batches, _encoder(folder_uri), names)


def measured(
    selection: Selection, folder_uri: str, names: tuple[str, ...], scheduler: str
) -> Features:
    """All selected rows in their order, by the cluster whose scheduler listens at this address."""
    with DaskTaskRunner(address=scheduler) as runner:
        futures = [
            runner.submit(
                measure_part, {"selection": part, "folder_uri": folder_uri, "names": names}
            )
            for part in selection.parts(_PART_ROWS)
        ]
        parts = [future.result() for future in futures]
    return replace(joined(parts), total=selection.total)


@lru_cache(2)
def _encoder(folder_uri: str) -> Encoder | None:
    return reference.read_encoder(aws.client("s3"), folder_uri) if folder_uri else None
