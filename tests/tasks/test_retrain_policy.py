from pathlib import Path

import pytest

from tasks import classifiers
from tasks.errors import BadConfig
from tasks.retrain_policy import Retrain

ROOT = Path(__file__).parents[2]


def test_without_a_table_there_are_bounds_all_the_same():
    assert classifiers.load("news", ROOT / "classifiers").retrain == Retrain(
        cooldown_hours=24, max_per_week=3, max_cost_usd=None, stop_after=3
    )


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("max_cost_usd = 5", "max_cost_usd is a limit only with dollars_per_hour"),
        ("stop_after = 0", "retrain.stop_after: Input should be greater than or equal to 1"),
        ("cool_down = 3", "retrain.cool_down: Extra inputs are not permitted"),
    ],
)
def test_a_mistake_in_the_table_names_file_and_key(tmp_path, table, told):
    text = (ROOT / "classifiers" / "news.toml").read_text("utf-8")
    (tmp_path / "news.toml").write_text(f"{text}\n[retrain]\n{table}\n", "utf-8")

    with pytest.raises(BadConfig, match=told):
        classifiers.load("news", tmp_path)
