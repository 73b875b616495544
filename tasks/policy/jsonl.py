"""One line of a JSON-lines file as fields."""

import json

BLANK = "blank"


def fields_of(text: str, columns: tuple[str, ...]) -> list[str] | str:
    """The values in column order, or why there are none."""
    if not text.strip(" "):
        return BLANK
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return "bad_json"
    if not found.keys() >= set(columns):
        return "bad_field_count"
    fields = ["" if found[column] is None else found[column] for column in columns]
    if not all(isinstance(field, str | int) for field in fields):
        return "bad_json"
    # An escaped lone surrogate is valid JSON and no text: it cannot be written as UTF-8 again.
    if "\\u" in text and any("\ud800" <= letter <= "\udfff" for f in fields for letter in str(f)):
        return "bad_json"
    return [str(field) for field in fields]
