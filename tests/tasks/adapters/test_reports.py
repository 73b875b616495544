"""Evidently's report, made once for real."""

import json
import re

import numpy as np
import pytest

pytestmark = [
    # What Evidently imports is behind the times.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def side(rows, seed, shift=0.0):
    from tasks.adapters import reports

    random = np.random.default_rng(seed)
    labels = random.choice(["World", "Sports"], rows, p=[0.5 - shift / 2, 0.5 + shift / 2])
    numeric = {
        "characters": random.gamma(3, 60 * (1 + shift), rows),
        "truncated": np.zeros(rows),
        f"only {seed}": np.ones(rows),
    }
    return reports.Side(numeric, labels.tolist())


def test_the_report_opens_offline_and_names_what_moved():
    from tasks.adapters import reports

    html, told = reports.drift(side(300, 0), side(6000, 1, shift=0.6))

    page = html.decode()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]*\b(?:src|href)\s*=\s*[\"']?http", page)
    assert not re.findall(r"url\(\s*[\"']?http", page)
    found = {one["config"].get("column"): one["value"] for one in json.loads(told)["metrics"]}
    assert set(found) == {None, "characters", "truncated", "predicted label"}
    assert found["characters"] > 0.1
    assert found["predicted label"] > 0.1
    assert found["truncated"] == 0
