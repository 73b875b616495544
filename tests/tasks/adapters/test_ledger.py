from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tasks.adapters import aws, ledger
from tasks.records import Entry

BUCKET = "ledger-models"
ENTRY = Entry("2026-01-15T10:30:00+00:00", "run", "released", "news", "1", "PASS", "op-1")


@pytest.fixture
def s3(sandbox):
    client = aws.client("s3")
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture
def folder(request):
    return f"releases/dev/{request.node.name}/ledger"


@pytest.fixture
def chain(s3, folder):
    for number in range(4):
        ledger.append(s3, BUCKET, folder, replace(ENTRY, op_id=f"op-{number}"))
    return ledger.read(s3, BUCKET, folder)


def test_records_are_numbered_and_chained(chain):
    assert [record.seq for record in chain] == [1, 2, 3, 4]
    assert chain[0].previous_hash == ledger.FIRST
    assert chain[3].previous_hash == chain[2].hash
    assert ledger.verify(chain) is None


def test_the_same_decision_is_written_once(s3, folder, chain):
    again = ledger.append(s3, BUCKET, folder, replace(ENTRY, op_id="op-2", at="later"))

    assert again == chain[2]
    assert ledger.read(s3, BUCKET, folder) == chain


def test_a_record_is_fetched_again_only_when_it_was_changed(s3, folder, chain, sandbox):
    sandbox.clear_calls()
    again = ledger.read(s3, BUCKET, folder)
    asked = [call["action"] for call in sandbox.calls(BUCKET)]
    changed = replace(chain[1], entry=replace(ENTRY, reason="another"))
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/00000002.json", Body=changed.to_bytes())

    assert (again, "GetObject" in asked) == (chain, False)
    assert ledger.read(s3, BUCKET, folder) == [chain[0], changed, *chain[2:]]


def test_a_changed_record_is_found(chain):
    chain[1] = replace(chain[1], entry=replace(chain[1].entry, reason="another"))

    assert ledger.verify(chain) == "record 3 does not follow record 2: one of them was changed"


def test_a_record_taken_away_is_found(chain):
    del chain[1]

    assert ledger.verify(chain) == "record 2 is missing: number 3 stands in its place"


def test_records_in_another_order_are_found(chain):
    chain[1], chain[2] = chain[2], chain[1]

    assert ledger.verify(chain) == "record 2 is missing: number 3 stands in its place"


@pytest.mark.parametrize("kind", ["commit-then-500", "throttle", "error-500"])
def test_an_append_that_aws_hiccups_on_is_one_record(s3, folder, sandbox, kind):
    sandbox.fault(service="s3", action="PutObject", kind=kind)

    ledger.append(s3, BUCKET, folder, ENTRY)

    assert [record.entry for record in ledger.read(s3, BUCKET, folder)] == [ENTRY]


def test_writers_at_once_all_get_a_place(s3, folder):
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda number: ledger.append(
                    s3, BUCKET, folder, replace(ENTRY, op_id=f"op-{number}")
                ),
                range(8),
            )
        )

    chain = ledger.read(s3, BUCKET, folder)
    assert {record.entry.op_id for record in chain} == {f"op-{number}" for number in range(8)}
    assert ledger.verify(chain) is None


def test_one_line_of_text_stays_one_record(s3, folder):
    forged = 'x"}\n{"seq": 9, "action": "released"}\x1b[2K'

    record = ledger.append(s3, BUCKET, folder, replace(ENTRY, reason=forged))

    assert b"\n{" not in record.to_bytes()
    assert b"\x1b" not in record.to_bytes()
    assert ledger.read(s3, BUCKET, folder)[0].entry.reason == forged
