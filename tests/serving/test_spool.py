"""What lies in the spool after each thing that can happen to a line."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.spool import Spool

LINE = b'{"request_id": "a"}'


@pytest.fixture
def make(tmp_path):
    """`make(...)` is a spool in a folder that all of them share."""
    return lambda max_bytes=10_000, seconds=60.0: Spool(tmp_path / "spool", max_bytes, seconds)


def lines(folder: Path, pattern: str = "*") -> list[bytes]:
    return [
        line for file in sorted(folder.glob(pattern)) for line in file.read_bytes().split(b"\n")
    ]


def test_a_line_is_in_a_file_when_append_returns(make):
    spool = make()

    assert spool.append("prediction", [LINE, LINE])
    assert spool.append("feedback", [LINE])

    assert lines(spool.folder, "*.prediction.open") == [LINE, LINE, b""]
    assert lines(spool.folder, "*.feedback.open") == [LINE, b""]
    assert (spool.logged["prediction"], spool.logged["feedback"]) == (2, 1)
    assert (spool.files, spool.size) == (2, 3 * (len(LINE) + 1))


def test_a_file_is_complete_when_it_is_large_old_or_the_spool_closes(make):
    large, old, closed = make(max_bytes=80), make(seconds=0), make()

    large.append("prediction", [LINE])
    old.append("prediction", [LINE])
    old.look()
    closed.append("prediction", [LINE])
    still = [*closed.folder.glob("*.open")]
    closed.close()

    assert len(still) == 1
    assert len([*closed.folder.glob("*.prediction.jsonl")]) == 3
    assert not [*closed.folder.glob("*.open")]


def test_past_the_bound_lines_are_dropped_and_counted_until_there_is_room(make):
    spool = make(max_bytes=100)

    taken = [spool.append("prediction", [LINE]) for _ in range(8)]
    for file in [*spool.folder.glob("*.jsonl")][:2]:
        file.unlink()
    spool.look()

    assert taken == [True] * 5 + [False] * 3
    assert (spool.logged["prediction"], spool.dropped["prediction"]) == (5, 3)
    assert spool.append("prediction", [LINE])


def test_what_others_left_counts_too(make):
    make().append("prediction", [LINE] * 10)

    assert make().size == 10 * (len(LINE) + 1)
    assert make().oldest_s < 60


def test_a_folder_that_cannot_be_written_costs_the_lines_alone(tmp_path, caplog):
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", 10_000, 60)

    taken = [spool.append("prediction", [LINE]) for _ in range(3)]

    assert taken == [False] * 3
    assert spool.dropped["prediction"] == 3
    assert len(caplog.records) == 1


def test_files_of_others_are_left_alone(make):
    spool = make()
    for name in ("notes.open", ".1-a-1.prediction", "1-a-1.prediction.bad"):
        (spool.folder / name).write_text("not ours")

    spool.look()

    assert (spool.files, spool.size, spool.oldest_s) == (0, 0, 0)


FULL = """
import resource, sys
from pathlib import Path
from serving.spool import Spool

spool = Spool(Path(sys.argv[1]), 10**6, 60)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
taken = [spool.append("prediction", [b"x" * 29]) for _ in range(5)]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
print([*taken, spool.append("prediction", [b"x" * 29])], spool.dropped["prediction"])
"""


def test_a_write_that_the_disk_takes_half_of_leaves_whole_lines(tmp_path):
    said = subprocess.check_output([sys.executable, "-c", FULL, str(tmp_path)], text=True)

    assert said.strip() == "[True, True, True, False, False, True] 2"
    assert lines(tmp_path) == [b"x" * 29] * 4 + [b""]
