"""Rows that say the same twice, or two things about one text. Remembers hashes, never texts."""

from collections.abc import Container, Iterable, Iterator, Set

from tasks.policy.rows import Drop, Row, digest

_SIGNS = bytes(code for code in range(128) if not chr(code).isalnum())


def conflicts(found: Iterable[Row | Drop]) -> frozenset[bytes]:
    """The texts that carry more than one label; neither row can be trusted."""
    labels: dict[bytes, str] = {}
    torn = set()
    for one in found:
        if isinstance(one, Row):
            key = digest(one.text)
            if labels.setdefault(key, one.label) != one.label:
                torn.add(key)
    return frozenset(torn)


def unique(found: Iterable[Row | Drop], torn: Set[bytes]) -> Iterator[Row | Drop]:
    """The same rows with each repetition turned into a drop; the first one stays."""
    rows: set[bytes] = set()
    ids: set[bytes] = set()
    texts: set[bytes] = set()
    for one in found:
        if isinstance(one, Drop):
            yield one
            continue
        row, text = digest(one.id, one.label, one.text), digest(one.text)
        if row in rows:
            yield Drop(one.line, "duplicate_row")
            continue
        rows.add(row)
        if text in torn:
            yield Drop(one.line, "conflicting_label")
        elif one.id and (name := digest(one.id)) in ids:
            yield Drop(one.line, "duplicate_id")
        elif one.id and text in texts:
            yield Drop(one.line, "duplicate_text")
        else:
            if one.id:
                ids.add(name)
                texts.add(text)
            yield one


def without(found: Iterable[Row | Drop], held_out: Container[bytes]) -> Iterator[Row | Drop]:
    """The same rows with those that are in the test file turned into drops."""
    for one in found:
        leaked = isinstance(one, Row) and digest(folded(one.text)) in held_out
        yield Drop(one.line, "leakage") if leaked else one


def folded(text: str) -> str:
    """Letters and digits only, so that a comma does not hide a copy; else the text itself."""
    low = text.casefold()
    if low.isascii():  # ten times faster, and most texts are
        return low.encode().translate(None, _SIGNS).decode() or text
    return "".join(filter(str.isalnum, low)) or text
