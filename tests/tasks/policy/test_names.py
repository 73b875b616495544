import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.policy.names import attempts, aws_name, digest

WORD = st.from_regex(r"\A[a-z][a-z0-9-]{1,19}\Z")


def test_the_order_of_keys_does_not_change_the_digest():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_the_digest_never_changes_between_versions():
    known = "810a43bc0215b9ea42773ffb4fc92c184749b3676b4e3fda524018da652e229f"
    assert digest({"a": 1, "b": "ü"}) == known


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"rate": float("nan")})


def test_a_name_reads_from_the_left():
    assert aws_name("perennial-dev", "news", "train", "1a2b3c4d5e6f77") == (
        "perennial-dev-news-train-1a2b3c4d5e6f"
    )


def test_every_attempt_has_its_own_name():
    names = attempts("perennial-dev", "news", "train", "1a2b3c4d5e6f77")

    assert names[0].endswith("-1a2b3c4d5e6f")
    assert names[1].endswith("-1a2b3c4d5e6f-a2")
    assert len(set(names)) == 5


@given(prefix=WORD, classifier=WORD, kind=WORD, hashed=st.integers(0), attempt=st.integers(1, 5))
def test_every_name_is_one_that_aws_takes(prefix, classifier, kind, hashed, attempt):
    inputs = digest({"n": hashed})

    name = aws_name(f"{prefix}-development1", classifier, kind, inputs, attempt)

    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
    assert inputs[:12] in name
