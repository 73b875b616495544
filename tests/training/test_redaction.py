"""What is masked, what is not, and that a long text costs no more than its length."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.redaction import CARD, EMAIL, PHONE, redact

LETTERS = st.characters(exclude_categories=("Cs", "Cc"))
TEXTS = st.text(LETTERS, max_size=200)
# Texts that are made of what the patterns look for.
PIECES = st.sampled_from([*"0123456789+()-./ @a<>,$", "00", "49", "555", "4111", "a@b.c", "1 "])
TRICKY = st.lists(PIECES, max_size=60).map("".join)


def luhn(digits: str) -> str:
    """The digits and the one that makes them a card's."""
    for last in "0123456789":
        total = 0
        for place, digit in enumerate(reversed(digits + last)):
            value = int(digit) * (1 + place % 2)
            total += value - 9 if value > 9 else value
        if total % 10 == 0:
            return digits + last
    raise AssertionError


def seconds(text: str) -> float:
    """Of this thread's own time, without what others took from it."""
    took = []
    for _ in range(7):
        began = time.thread_time()
        redact(text, "mask")
        took.append(time.thread_time() - began)
    return min(took)


CARDS = st.text("0123456789", min_size=12, max_size=18).map(luhn)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to jane.doe+news@mail.example.co.uk!", f"write to {EMAIL}!"),
        ("jürgen@müller.de, a@b.c", f"{EMAIL}, {EMAIL}"),
        ("call +49 (0)170 123-4567 now", f"call {PHONE} now"),
        ("0049 170 1234567 or 0170/1234567", f"{PHONE} or {PHONE}"),
        ("06 12 34 56 78", PHONE),
        ("(555) 123-4567, 555.123.4567, 1-555-123-4567", f"{PHONE}, {PHONE}, {PHONE}"),
        ("card 4111 1111 1111 1111 123", f"card {CARD} 123"),
        ("1234 4111-1111-1111-1111", f"1234 {CARD}"),
        ("3782 822463 10005", CARD),
    ],
)
def test_personal_data_is_masked(text, masked):
    assert redact(text, "mask") == masked


@pytest.mark.parametrize(
    "text",
    [
        "In 2025 and 2026 there were 1,234,567 people and $1234567890 of debt",
        "from 05/11/2020 10:30 to 2020-01-15 10:30, 3.1415926535 times",
        "a score of 104-98, 2019-2020, a 4-4-2 and 10.000.000 fans",
        "number 4111111111111112 is no card, @someone is no address",
        "Ünïcode and 中文 stay",
    ],
)
def test_what_is_not_personal_stays(text):
    assert redact(text, "mask") == text


@given(CARDS, st.sampled_from(["", " ", "-"]), TEXTS)
def test_every_card_is_masked_however_it_is_grouped(card, gap, text):
    groups = gap.join(re.findall("..?.?.?", card))

    assert redact(f"{text} : {groups} : {text}", "mask").count(CARD) >= 1
    assert groups not in redact(f"{text} : {groups} : {text}", "mask")


@given(st.from_regex(r"[a-z0-9._%+-]{1,20}@[a-z0-9-]{1,20}(\.[a-z]{2,6}){1,2}", fullmatch=True))
def test_every_address_is_masked(address):
    assert redact(f"mail: {address} ", "mask") == f"mail: {EMAIL} "


@given(st.one_of(TEXTS, TRICKY), st.sampled_from(["off", "hash", "mask"]))
@example("555-123-4567(030)1234567", "mask")
@example("555-123-4567+49 170 1234567", "mask")
def test_redacting_twice_is_redacting_once(text, policy):
    once = redact(text, policy)

    assert redact(once, policy) == once
    assert policy != "off" or once == text


@given(TEXTS, TEXTS)
def test_equal_texts_have_equal_hashes_and_nothing_else(one, other):
    assert (redact(one, "hash") == redact(other, "hash")) == (one == other)
    assert re.fullmatch("sha256:[0-9a-f]{64}", redact(one, "hash"))


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "1", "@", "a@", "a.", "a@a.", "1 ", "0 1", "+1 ", "(0)", "1-", "01/", "12 34"),
        *("4111 ", "1234 123456 ", "0111111111 ", "555-123-456", "00", "a@a-"),
    ],
)
def test_a_text_ten_times_as_long_takes_no_hundred_times_as_long(piece):
    short, long = (seconds((piece * 20_000)[:length]) for length in (2000, 20_000))

    assert long < 40 * short
