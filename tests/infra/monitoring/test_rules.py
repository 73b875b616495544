"""The alerts fire when they should and only then: Prometheus itself says so."""

import re
from pathlib import Path

import pytest
import yaml
from plugins.promtool import told

from tasks.classifiers import load

ROOT = Path(__file__).resolve().parents[3]
HERE = ROOT / "infra" / "monitoring"
CLASSIFIERS = sorted(path.stem for path in (ROOT / "classifiers").glob("*.toml"))


@pytest.fixture(scope="module")
def rules():
    groups = yaml.safe_load((HERE / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_rules_do_what_their_examples_say():
    assert (
        told("promtool", "check", "rules", "--lint=all", "--lint-fatal", HERE / "rules.yml")[0] == 0
    )

    code, text = told("promtool", "test", "rules", HERE / "rules.test.yml")

    assert code == 0, text


def test_every_alert_has_an_example_in_which_it_fires(rules):
    tests = yaml.safe_load((HERE / "rules.test.yml").read_text())["tests"]
    fired = {
        one["alertname"]
        for test in tests
        for one in test.get("alert_rule_test", ())
        if one["exp_alerts"]
    }

    assert fired == {rule["alert"] for rule in rules if "alert" in rule}


def test_every_alert_says_what_to_do_next_and_how_urgent_it_is(rules):
    for rule in rules:
        if "alert" in rule:
            assert rule["annotations"].keys() == {"summary", "next"}
            assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_alert_is_explained_to_people(rules):
    page = (ROOT / "docs" / "monitoring.md").read_text()

    assert {
        rule["alert"] for rule in rules if "alert" in rule if rule["alert"] not in page
    } == set()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_accuracy_is_held_to_the_gate_of_the_classifier(name, rules):
    own = {
        rule["labels"]["classifier"]: float(re.fullmatch(r"vector\((.+)\)", rule["expr"])[1])
        for rule in rules
        if rule.get("record") == "perennial:accuracy:minimum"
    }

    assert own.get(name, 0.85) == load(name, ROOT / "classifiers").gates.accuracy
