"""Evidently's drift report. Importing this module takes seconds: import it where it is needed.

Only ready numeric and categorical columns are handed over: its own text descriptors cost minutes
where the columns are here already. Nothing is decided by what it finds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from numpy.typing import NDArray

_LABEL = "predicted label"
_ROWS = 5000  # of each side, drawn by a fixed seed: the distances are settled long before


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """n rows: float64[n] by name, and the n predicted labels."""

    numeric: Mapping[str, NDArray[np.float64]]
    labels: Sequence[str]


def drift(reference: Side, window: Side) -> tuple[bytes, bytes]:
    """The report on the columns that both sides have, as HTML that opens offline and as JSON.

    The methods are the same at every number of rows, unlike Evidently's own choice.
    """
    shared = [name for name in reference.numeric if name in window.numeric]
    described = DataDefinition(numerical_columns=shared, categorical_columns=[_LABEL])
    old, new = (
        Dataset.from_pandas(_frame(side, shared), data_definition=described)
        for side in (reference, window)
    )
    preset = DataDriftPreset(num_method="wasserstein", cat_method="jensenshannon")
    with np.errstate(invalid="ignore"):  # it correlates columns that may never vary, too
        found = Report([preset], include_tests=False).run(new, old)
    return found.get_html_str(as_iframe=False).encode(), found.json().encode()


def _frame(side: Side, shared: Sequence[str]) -> pd.DataFrame:
    rows = len(side.labels)
    chosen = np.arange(rows).tolist()
    if rows > _ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(rows, _ROWS, replace=False)).tolist()
    columns: dict[str, object] = {name: side.numeric[name][chosen] for name in shared}
    return pd.DataFrame({**columns, _LABEL: [side.labels[row] for row in chosen]})
