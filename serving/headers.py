"""The headers of a request by name: looked through once, for every layer."""

from collections.abc import Mapping
from typing import cast

from starlette.types import Scope

Headers = Mapping[bytes, bytes]

_FORWARDED = b"x-forwarded-for"


def headers_of(scope: Scope) -> Headers:
    """The last value of each name; of X-Forwarded-For all, for each proxy may add a line."""
    if "by_name" not in scope:
        pairs = scope["headers"]
        found = dict(pairs)
        if len(found) < len(pairs) and _FORWARDED in found:
            found[_FORWARDED] = b",".join(value for name, value in pairs if name == _FORWARDED)
        scope["by_name"] = found
    return cast("Headers", scope["by_name"])
