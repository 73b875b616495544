"""The boards ask for what is there, in a language that Prometheus speaks."""

import json
import re

import pytest
import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard
from plugins.promtool import told

from infra.monitoring import dashboards

TITLES = {"API Performance", "Model Metrics", "System Health", "Business KPIs"}


@pytest.fixture(scope="module")
def boards():
    return {uid: json.loads(text) for uid, text in dashboards.texts().items()}


@pytest.fixture(scope="module")
def targets(boards):
    """Each query with its panel and board."""
    return [
        (board, panel, target)
        for board in boards.values()
        for panel in board["panels"]
        for target in panel["targets"]
    ]


def test_the_four_boards_have_names_of_their_own(boards):
    assert {board["title"] for board in boards.values()} == TITLES
    assert all(uid == board["uid"] for uid, board in boards.items())
    for board in boards.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids) >= 6
        assert Dashboard.from_json(board).title == board["title"]


def test_no_panel_lies_on_another(boards):
    for board in boards.values():
        taken = [
            (x, y)
            for at in (panel["gridPos"] for panel in board["panels"])
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(taken)) == len(taken)
        assert max(x for x, _ in taken) == 23


def test_every_panel_has_a_unit_an_explanation_and_a_source_that_can_be_chosen(boards):
    for board in boards.values():
        names = {variable["name"] for variable in board["templating"]["list"]}
        assert {"prometheus", "cloudwatch", "environment", "classifier"} <= names
        for panel in board["panels"]:
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert panel["description"]
            assert panel["datasource"]["uid"].strip("${}") in names


def test_prometheus_can_read_every_expression(targets, tmp_path):
    variables = {
        "$__rate_interval": "1m",
        "$environment": "prod|dev",
        "$classifier": ".*",
        "$server_hour_usd": "0.1",
    }
    rules = []
    for number, (_, _, target) in enumerate(one for one in targets if "expr" in one[2]):
        expression = target["expr"]
        for name, value in variables.items():
            expression = expression.replace(name, value)
        assert "$" not in expression
        rules.append({"record": f"board:panel:{number}", "expr": expression})
    asked = tmp_path / "rules.yml"
    asked.write_text(yaml.safe_dump({"groups": [{"name": "boards", "rules": rules}]}))

    code, text = told("promtool", "check", "rules", asked)

    assert (code, f"{len(rules)} rules found" in text) == (0, True), text


def test_drift_comes_from_where_the_check_puts_it(boards):
    (panel,) = [p for p in boards["perennial-model"]["panels"] if p["title"] == "Drift score"]

    (query,) = panel["targets"]

    assert (query["namespace"], query["metricName"]) == ("Perennial/Drift", "DriftScore")
    assert set(query["dimensions"]) == {"Classifier", "Environment"}
    assert panel["datasource"]["type"] == "cloudwatch"


def test_legends_name_labels_that_the_query_leaves(targets):
    for _, panel, target in targets:
        legend = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
        kept = re.findall(r"by \(([^)]+)\)", target.get("expr", ""))
        if kept:
            assert legend <= set(kept[-1].replace(" ", "").split(",")), panel["title"]
