"""JSON lines and CSV on /invocations, as batch transform sends them, on a real server."""

import csv
import io
import json

import pytest

from serving import bulk
from serving.contract import Refusal

LINES = b'{"text": "the team won"}\n{"data": "oil price"}\n'
SECRET = "zyxwv-private-words"


def invoke(client, body: bytes, kind: str, accept: str | None = None):
    headers = {"content-type": kind} | ({"accept": accept} if accept else {})
    return client.post("/invocations", content=body, headers=headers)


def test_each_line_is_answered_in_the_shape_that_its_key_chooses(client):
    answer = invoke(client, LINES, bulk.JSON_LINES)

    first, second = map(json.loads, answer.text.splitlines())
    assert answer.headers["content-type"] == bulk.JSON_LINES
    assert list(first)[:2] == ["prediction", "confidence"]
    assert list(second) == ["main_category", "probabilities"]
    assert first == first | client.post("/predict", json={"text": "the team won"}).json() | {
        key: first[key] for key in ("processing_time", "timestamp")
    }


def test_rows_are_answered_as_rows(client):
    answer = invoke(client, b'the team won\r\n"oil, ""price"""\r\n', bulk.CSV)

    rows = list(csv.reader(io.StringIO(answer.text)))
    alone = client.post("/predict", json={"text": 'oil, "price"'}).json()
    assert answer.headers["content-type"] == "text/csv"
    assert len(rows) == 2
    assert rows[1] == [alone["prediction"], repr(alone["confidence"])]


def test_a_header_is_answered_with_a_header(client):
    answer = invoke(client, b"text\nthe team won\n", bulk.CSV)

    assert answer.text.splitlines()[0] == "prediction,confidence"
    assert len(answer.text.splitlines()) == 2


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*;q=0.5", "application/jsonlines"),
        ("*/*", "application/jsonlines"),
        ("image/png, text/csv", "text/csv"),
    ],
)
def test_the_answer_is_of_the_kind_that_is_accepted(client, accept, kind):
    answer = invoke(client, LINES, bulk.JSON_LINES, accept)

    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def test_json_may_be_answered_as_rows(client):
    body = json.dumps({"texts": ["the team won", "oil price"]}).encode()

    assert len(invoke(client, body, "application/json", "text/csv").text.splitlines()) == 2


def test_an_answer_of_no_known_kind_is_406(client):
    answer = invoke(client, LINES, bulk.JSON_LINES, "image/png")

    assert (answer.status_code, answer.json()["error"]) == (406, "not_acceptable")


def test_cut_tokens_are_told_where_the_body_has_no_place_for_it(client):
    long = b"team " * 60

    assert invoke(client, long, bulk.CSV).headers["x-truncated"] == "true"
    assert "x-truncated" not in invoke(client, b"team", bulk.CSV).headers
    data = client.post("/predict", json={"data": long.decode()})
    assert data.headers["x-truncated"] == "true"
    assert list(data.json()) == ["main_category", "probabilities"]


SECRET_LINE = json.dumps({"text": SECRET}).encode()


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"", bulk.JSON_LINES, 400, "line 1: It is not valid JSON"),
        (SECRET_LINE + b"\n\n" + SECRET_LINE, bulk.JSON_LINES, 400, "line 2: It is not"),
        (SECRET_LINE + b'\n{"text": ""}', bulk.JSON_LINES, 422, "line 2: Text is empty"),
        (SECRET_LINE + b'\n{"texts": ["a"]}', bulk.JSON_LINES, 422, "line 2: The body must"),
        (SECRET_LINE + b'\n{"text": "a", "text": "b"}', bulk.JSON_LINES, 400, "line 2: It is"),
        (SECRET_LINE + b"\r" + SECRET_LINE, bulk.JSON_LINES, 400, "line 1: It is not"),
        (SECRET_LINE * 2, bulk.JSON_LINES, 400, "line 1: It is not"),
        ((SECRET_LINE + b"\n") * 129, bulk.JSON_LINES, 422, "The body must hold 1 to 128 lines"),
        (b'{"text": "a", "model_version": "v9"}', bulk.JSON_LINES, 404, "This endpoint serves"),
        (
            b'{"text": "a", "model_version": "v1.0.0"}\n{"text": "a"}',
            bulk.JSON_LINES,
            422,
            "All lines must name the same model_version or none",
        ),
        (b"\xff", bulk.JSON_LINES, 400, "Not UTF-8 at byte 0"),
        (b"", bulk.CSV, 422, "rows must hold 1 to 128 texts, it holds 0"),
        (b"text\n", bulk.CSV, 422, "rows must hold 1 to 128 texts, it holds 0"),
        (b"a\n\nb", bulk.CSV, 422, "rows[1]: Text is empty"),
        (b"a," + SECRET.encode(), bulk.CSV, 422, "rows[0]: 2 columns"),
        (b'"' + SECRET.encode(), bulk.CSV, 400, "The body is not valid CSV at line 1"),
        (b'"a" ' + SECRET.encode(), bulk.CSV, 400, "The body is not valid CSV at line 1"),
        (b"a\n" * 129, bulk.CSV, 422, "rows must hold 1 to 128 texts"),
        (b"a\x00b", bulk.CSV, 422, "rows[0]: Text holds the control character U+0000 at 1"),
        ("a".encode("utf-16"), bulk.CSV, 400, "Not UTF-8 at byte 0"),
        (b"x" * 600, bulk.CSV, 422, "rows[0]: Text length exceeds maximum limit of 512"),
    ],
)
def test_what_is_wrong_is_told_by_line_or_row(client, body, kind, status, said):
    answer = invoke(client, body, kind)

    assert (answer.status_code, SECRET in answer.text) == (status, False)
    assert answer.json()["message"].startswith(said)


def test_a_text_may_hold_what_only_python_takes_for_a_line_end():
    body = '{"text": "a\u2028b\u0085c"}'.encode()

    assert bulk.read(body, bulk.JSON_LINES, 512, 8).texts == ["a\u2028b\u0085c"]


def test_a_csv_field_may_be_as_long_as_a_text_may_be():
    assert bulk.read(b"x" * 200_000, bulk.CSV, 200_000, 8).texts == ["x" * 200_000]
    with pytest.raises(Refusal, match="maximum limit of 199999 characters"):
        bulk.read(b"x" * 200_000, bulk.CSV, 199_999, 8)
