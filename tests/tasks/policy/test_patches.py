import subprocess
import tomllib
from pathlib import Path

import pytest

from tasks.policy.patches import patch, toml

FOLDER = Path(__file__).resolve().parents[3] / "classifiers"
VALUES = {"learning-rate": 1.7e-05, "num-train-epochs": 4, "model-name": 'a "b" \\ c'}


def applied(folder: Path, text: str, change: str) -> str:
    (folder / "classifiers").mkdir()
    file = folder / "classifiers" / "pets.toml"
    file.write_bytes(text.encode())
    subprocess.run(["git", "apply", "-"], input=change.encode(), cwd=folder, check=True)
    return file.read_bytes().decode()


@pytest.mark.parametrize("name", ["news", "genre", "sentiment"])
def test_git_applies_the_patch_of_a_real_file_and_all_else_stays(tmp_path, name):
    text = (FOLDER / f"{name}.toml").read_text()

    after = applied(tmp_path, text, patch("pets", text, VALUES))

    want = tomllib.loads(text)
    want["training"]["hyperparameters"] |= VALUES
    assert tomllib.loads(after) == want
    assert [line for line in after.splitlines() if "#" in line] == [
        line for line in text.splitlines() if "#" in line
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[training.hyperparameters]  # tuned\n"learning-rate" = 2e-5 # by hand\n\n[gates]\nb = 1\n',
        "[training.hyperparameters]\nlearning_rate=2e-5\nnum-train-epochs = 3",
        "[gates]\r\naccuracy = 0.9\r\n[training.hyperparameters]\r\nlearning-rate = 2e-5\r\n",
        "[training.hyperparameters]\nmodel-name = 'a # b'\n# the end\n",
        '[training]\nuse_spot = true\n\n[training.hyperparameters]\n[gates]\nnote = "x = 1"\n',
        "name = 'pets'",
        "",
    ],
)
def test_however_the_section_is_written_the_patch_fits(tmp_path, text):
    after = applied(tmp_path, text, patch("pets", text, VALUES))

    found = tomllib.loads(after)["training"]["hyperparameters"]
    assert {key.replace("_", "-"): value for key, value in found.items()} == VALUES
    assert [line for line in text.splitlines() if line not in after.splitlines()] == [
        line
        for line in text.splitlines()
        if line.startswith(("learning", '"learn', "num", "model"))
    ]


def test_a_comment_behind_a_changed_value_stays():
    text = "[training.hyperparameters]\nlearning-rate = 2e-5  # from the paper\n"

    assert "+learning-rate = 1.7e-05  # from the paper\n" in patch("pets", text, VALUES)


def test_nothing_to_change_is_an_empty_patch():
    text = "[training.hyperparameters]\nlearning-rate = 2e-5\n"

    assert patch("pets", text, {"learning-rate": 2e-05}) == ""


def test_a_section_written_in_one_line_gets_no_patch_but_lines_to_write():
    text = "[training]\nhyperparameters = { learning-rate = 2e-5 }\n"

    assert patch("pets", text, {"learning-rate": 3e-05}) == ""
    assert toml({"learning-rate": 3e-05, "seed": 7}) == "learning-rate = 3e-05\nseed = 7"
