"""The templates are clean and hold what the flows rely on."""

import subprocess
import sys
from pathlib import Path

import pytest
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = sorted((ROOT / "infra" / "cloudformation").glob("*.yaml"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_template_has_no_lint_findings(template):
    cfn_lint = Path(sys.executable).with_name("cfn-lint")

    told = subprocess.run(
        [cfn_lint, str(template)], capture_output=True, text=True, check=False, timeout=120
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_serving_instances_are_not_reached_by_ssh():
    text = (ROOT / "infra" / "cloudformation" / "ec2-serving.yaml").read_text()

    assert "FromPort: 22" not in text
    assert "HttpTokens: required" in text


def test_no_role_has_full_access():
    text = (ROOT / "infra" / "cloudformation" / "bootstrap.yaml").read_text()

    assert "FullAccess" not in text
    assert 'Action: "*"' not in text


def test_who_serves_may_write_into_the_log_and_what_jobs_write_but_nothing_else():
    template = cfn_yaml.load(str(ROOT / "infra" / "cloudformation" / "bootstrap.yaml"))
    log = {"${DataBucket.Arn}/data-capture/*", "${DataBucket.Arn}/feedback/*"}

    assert writable(template, "InstancePolicy") == log
    assert {one for one in writable(template, "ExecutionPolicy") if "Data" in one} == log


def writable(template, policy):
    """Where objects may be put by a role, as the template writes it."""
    document = template["Resources"][policy]["Properties"]["PolicyDocument"]
    found = set()
    for statement in document["Statement"]:
        actions, places = statement["Action"], statement["Resource"]
        if "s3:PutObject" in ([actions] if isinstance(actions, str) else actions):
            found |= {one["Fn::Sub"] for one in (places if isinstance(places, list) else [places])}
    return found
