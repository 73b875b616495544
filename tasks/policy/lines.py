"""Bytes of a data file as blocks of numbered lines of text, which end at LF only."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from tasks.errors import BadData

_CONTROL = bytes(code for code in range(32) if code not in b"\t\n\r")
_BOM = b"\xef\xbb\xbf"
# Python works faster on a few hundred lines at once, and the longest lines still fit.
AT_ONCE = 256


class Text(NamedTuple):
    """Whole lines, from the line numbered `first` on. `plain`: no control byte is inside."""

    first: int
    text: str
    plain: bool

    @property
    def lines(self) -> list[str]:
        return self.text.removesuffix("\n").split("\n")


def decoded(name: str, lines: Iterable[bytes], encoding: str) -> Iterator[Text]:
    """The whole file in order; raises BadData at the first byte that is no text."""
    left, number, offset = iter(lines), 1, 0
    while block := list(islice(left, AT_ONCE)):
        count, raw = len(block), b"".join(block)
        bom = len(_BOM) if number == 1 and encoding == "utf-8" and raw.startswith(_BOM) else 0
        try:
            text = raw[bom:].decode(encoding)
        except UnicodeDecodeError as error:
            at = bom + error.start
            raise BadData(
                name,
                number + raw[:at].count(b"\n"),
                "bad_encoding",
                f"byte {offset + at} (0x{raw[at]:02x}) is not {encoding};"
                " convert the file, or declare data.files.encoding in the classifier file",
            ) from error
        if "\r" in text:
            text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", " ")
            if not text:
                return  # a lone CR at the end begins no line
        yield Text(number, text, len(raw.translate(None, _CONTROL)) == len(raw))
        number, offset = number + count, offset + len(raw)
