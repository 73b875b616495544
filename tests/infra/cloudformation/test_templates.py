"""The templates are clean and hold what the flows rely on."""

import subprocess
import sys
from pathlib import Path

import pytest

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
