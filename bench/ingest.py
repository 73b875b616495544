"""Rows per second and peak memory of the ingest's cleaning beside pandas on the same file.

The ingest decodes, checks, dedupes, splits by hash and picks 5,000 rows; `pandas.read_csv` only
reads, and drops duplicates in its second run. Each runs in a process of its own. The time is the
processor's, not the clock's, so that neighbours on the machine do not count; all use one thread.
"""

import argparse
import csv
import sys
import tempfile
from functools import partial
from pathlib import Path

from bench.alone import alone
from tasks import classifiers
from tasks.adapters.sources import lines
from tasks.policy import samples
from tasks.policy.cleaning import Source, clean

GOAL_MIB = 1024
NEWS = classifiers.load("news", Path("classifiers"))


def main() -> int:
    """Print the table; 1 with --check when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "news.csv"
        write(path, asked.rows)
        size = path.stat().st_size / 2**20
        found = {
            "ingest": alone(ours, path),
            "pandas.read_csv": alone(read, path, ["pandas"]),
            "and drop_duplicates": alone(read_unique, path, ["pandas"]),
        }
    print(f"{asked.rows:,} rows, {size:.0f} MiB\n\n{'':22}{'rows/s':>10}{'seconds':>9}{'MiB':>7}")
    for what, one in found.items():
        print(f"{what:22}{one.told / one.cpu_s:>10,.0f}{one.cpu_s:>9.1f}{one.mib:>7.0f}")
    mine, plain, unique = found.values()
    reached = mine.mib <= GOAL_MIB and mine.told == unique.told == asked.rows
    print(
        f"peak {mine.mib:.0f} MiB (goal {GOAL_MIB}), pandas {unique.mib:.0f};"
        f" {mine.cpu_s / plain.cpu_s:.1f} times the seconds of reading,"
        f" {mine.cpu_s / unique.cpu_s:.1f} of reading and dropping duplicates"
    )
    return 1 if asked.check and not reached else 0


def write(path: Path, rows: int) -> None:
    """Generated news as AG News has them: quoted, no header, labels 1 to 4."""
    codes = {label: code for code, label in NEWS.data.files.codes.items()}
    wanted = samples.SampleSet("news", rows)
    with path.open("w", newline="", encoding="utf-8") as opened:
        told = csv.writer(opened, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for text, label in samples.generate(wanted, rows, "train"):
            title, _, description = text.partition(". ")
            told.writerow((codes[label], title, description))


def ours(path: Path) -> int:
    source = Source(path.name, partial(lines, path))
    found = clean([source], [], NEWS.data.files, NEWS.data, NEWS.data.sample_size)
    return found.tallies[0].rows


def read(path: Path) -> int:
    import pandas as pd  # here, so that its memory is not ours

    return len(pd.read_csv(path, header=None))


def read_unique(path: Path) -> int:
    import pandas as pd

    return len(pd.read_csv(path, header=None).drop_duplicates())


if __name__ == "__main__":
    sys.exit(main())
