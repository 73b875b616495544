"""What the images copy is what their code imports."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def imported(files, package):
    """Modules of the package that the files import, by their paths."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
                found |= {ROOT / f"{name.replace('.', '/')}.py" for name in names}
    return {file for file in found if file.is_file() and file.parent.name == package}


def test_the_flows_image_holds_every_training_module_that_flows_need():
    told = (ROOT / "infra/docker/flows.Dockerfile").read_text("utf-8")
    copied = {ROOT / one for one in re.findall(r"training/\w+\.py", told)}
    wanted = imported([*ROOT.glob("flows/*.py"), *ROOT.glob("tasks/**/*.py")], "training")

    while more := imported(wanted, "training") - wanted:
        wanted |= more

    assert copied == wanted | {ROOT / "training/__init__.py"}
