"""Takes personal data out of a text before it is written down.

Pure, and linear in the text's length: no pattern tries a letter more often than a fixed number of
times. Not covered: names, postal addresses, local telephone numbers of seven digits or fewer, and
whatever is spelled out ("john at example dot com").
"""

import hashlib
import re
from typing import Literal

Policy = Literal["off", "hash", "mask"]

EMAIL, PHONE, CARD = "<EMAIL>", "<PHONE>", "<CARD>"

# A match begins where a name begins and nothing is given back (`++`): each letter is read twice.
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)++")
# Payment cards have 13 to 19 digits, written in one go or in groups as they are printed.
_CARD = re.compile(
    r"(?<!\d)(?:\d{13,19}|(?P<by_four>\d{4}([ -])\d{4}\2\d{4}\2\d{1,4}(?:\2?\d{1,3})?)"
    r"|\d{4}([ -])\d{6}\3\d{4,5})(?!\d)"
)
_GAP = r"[ .()/-]{0,2}"
_PHONE = re.compile(
    r"(?:(?<![\w.,$€£])|(?=[(+]))"  # no part of a word, an amount or a fraction
    rf"(?:(?P<abroad>(?:\+|00)[ (]{{0,2}}[1-9](?:{_GAP}\d)*+)"
    rf"|(?P<inland>\(?0[1-9](?:{_GAP}\d)*+)"
    r"|(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-]?)\d{3}[ .-]?\d{4}(?!\d))"
)
_DATE = re.compile(r"0?\d([./-])\d{1,2}\1\d{2,4}")
# Most texts hold no number of that length, and are told so by one look.
_SEVEN_DIGITS = re.compile(rf"\d(?:{_GAP}\d){{6}}")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def redact(text: str, policy: Policy) -> str:
    """The text as it may be kept; what was redacted already stays as it is.

    mask: e-mail addresses, telephone numbers and payment cards become placeholders.
    hash: `sha256:` and 64 digits, so that equal texts stay equal and nothing else is known.
    """
    if policy == "mask":
        return _masked(text)
    if policy == "hash":
        return text if _is_hash(text) else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    return text


def _masked(text: str) -> str:
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    if _SEVEN_DIGITS.search(text):
        text = _PHONE.sub(_phone, _without_cards(text))
    return text


def _without_cards(text: str) -> str:
    kept, at, done = [], 0, 0
    while found := _CARD.search(text, at):
        if (length := _card(found)) == 0:
            # What looks like its first group may stand before a card's.
            at = found.start() + 4
            continue
        kept += [text[done : found.start()], CARD]
        at = done = found.start() + length
    return "".join([*kept, text[done:]])


def _card(found: re.Match[str]) -> int:
    """How many characters of what was found are a card."""
    written = found[0]
    if _luhn(written):
        return len(written)
    # Behind a card of sixteen digits may stand the three that are printed on its back.
    return 19 if found["by_four"] and len(written) > 19 and _luhn(written[:19]) else 0


def _luhn(written: str) -> bool:
    digits = written.replace(" ", "").replace("-", "")[::-1]
    doubled = map(_DOUBLED.__getitem__, map(int, digits[1::2]))
    return (sum(map(int, digits[::2])) + sum(doubled)) % 10 == 0


def _phone(found: re.Match[str]) -> str:
    written = found[0]
    digits = sum(map(str.isdigit, written))
    least = 8 if found["abroad"] else 9 if found["inland"] else 0
    return written if digits < least or _DATE.match(written) else PHONE


def _is_hash(text: str) -> bool:
    return bool(re.fullmatch(r"sha256:[0-9a-f]{64}", text))
