"""Whatever the bytes: a value or a refusal of ours, never another exception, never an echo."""

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving import bodies, bulk, contract
from serving.contract import Refusal

SECRET = "zyxwv"
KEYS = ("text", "data", "texts")

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
asks = st.dictionaries(
    st.sampled_from([*KEYS, "model_version", SECRET]), values, max_size=3
) | st.fixed_dictionaries({"text": st.text()})


def decode(body: bytes) -> list[str]:
    """All that happens to a JSON body before the model."""
    return contract.texts_of(contract.ask_of(bodies.parse(body), KEYS), 512, 8)


def refusal_of(read: Callable[[bytes], list[str]], body: bytes) -> Refusal | None:
    """None when the body is taken, and then there is something to classify."""
    try:
        assert all(read(body))
    except Refusal as refusal:
        return refusal
    return None


def lines(body: bytes) -> list[str]:
    return bulk.read(body, bulk.JSON_LINES, 512, 8).texts


def rows(body: bytes) -> list[str]:
    return bulk.read(body, bulk.CSV, 512, 8).texts


@given(st.binary(max_size=200) | st.text().map(str.encode))
@example(b"\xed\xa0\x80")
@example(b'{"text":' * 2000)
def test_any_bytes_are_taken_or_refused(body):
    for read in (decode, lines, rows):
        refusal = refusal_of(read, body)

        assert refusal is None or refusal.status in (400, 422)


@given(asks)
@example({"text": "a:b", "model_version": None})
def test_any_json_value_is_taken_or_refused_without_an_echo(value):
    refusal = refusal_of(decode, json.dumps(value).encode())

    assert refusal is None or refusal.status in (400, 422)
    assert refusal is None or SECRET not in refusal.message


@given(st.text(min_size=1, max_size=512))
def test_a_text_that_is_taken_means_what_was_sent(text):
    try:
        taken = contract.fit(text, 512)
    except Refusal:
        return
    assert contract.fit(taken, 2000) == taken
    assert taken.isascii() == text.isascii()


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=50), st.sampled_from(KEYS[:2]))
def test_the_same_key_twice_is_refused_however_it_is_written(text, key):
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
    value = json.dumps(text)

    with pytest.raises(Refusal, match="the same key twice"):
        bodies.parse(f'{{"{key}": {value}, "{escaped}": {value}}}'.encode())


def test_thousands_of_mutations_of_a_good_body_never_break_the_decoder():
    whole = json.dumps({"text": f"a {SECRET} é 😀", "model_version": "v1"}).encode()
    chance = random.Random(7)
    outcomes = set()
    for _ in range(20_000):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(body))
            body[place : place + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
        refusal = refusal_of(decode, bytes(body))
        outcomes.add(refusal.status if refusal else 200)
        assert SECRET not in (refusal.message if refusal else "")

    assert outcomes == {200, 400, 422}
