import numpy as np
import pyarrow as pa
import pytest
from plugins.references import NAMES, batch, reference, table, tiny_encoder

from tasks import features
from tasks.errors import MonitorBroken

ENCODER = tiny_encoder()


def of(texts, **changes):
    return features.of_batches([batch(len(texts), text=texts, **changes)], ENCODER, NAMES)


def test_text_is_told_in_numbers():
    found = of(["The GOAL ab 12", "война", "", "naïve ①"])

    numbers = {name: values.round(3).tolist() for name, values in found.numeric.items()}
    assert numbers["tokens"] == [5, 1, 0, 6]
    assert numbers["unknown_share"] == [0.2, 1, 0, 0.167]
    assert numbers["split_share"] == [0.2, 0, 0, 0.667]
    assert numbers["non_latin_share"] == [0, 1, 0, 0]
    assert numbers["uppercase_share"] == [0.556, 0, 0, 0]
    assert numbers["digit_share"] == [0.143, 0, 0, 0]


def test_vector_is_the_mean_of_the_token_rows():
    found = of(["the goal", ""])

    rows = table().astype(np.float16).astype(np.float32)
    expected = (rows[2] + rows[6]) / 2
    np.testing.assert_allclose(found.vectors, [expected, np.zeros(8)], rtol=1e-6)


def test_terms_count_the_texts_that_have_them():
    found = of(["War, war and WAR!", "the war of 1918", "a-b"])

    assert found.terms == {"and": 1, "of": 1, "the": 1, "war": 2}


def test_same_rows_give_the_same_bytes_however_they_are_cut(monkeypatch):
    whole = batch(500)
    at_once = features.of_batches([whole], ENCODER, NAMES)
    monkeypatch.setattr(features, "_CHUNK_ROWS", 37)

    in_parts = features.of_batches([whole.slice(0, 123), whole.slice(123)], ENCODER, NAMES)

    assert at_once.vectors.tobytes() == in_parts.vectors.tobytes()
    assert at_once.probabilities.tobytes() == in_parts.probabilities.tobytes()
    for name, values in at_once.numeric.items():
        assert values.tobytes() == in_parts.numeric[name].tobytes()
    assert (at_once.terms, at_once.ids) == (in_parts.terms, in_parts.ids)
    assert (at_once.excerpts, at_once.total) == (in_parts.excerpts, 500)


def test_log_without_texts_leaves_answers_and_characters():
    found = features.of_batches([batch(5, text=[None] * 5)], None, NAMES)

    assert not found.has_texts
    assert set(found.numeric) == {"characters", "truncated", "confidence"}
    assert (found.terms, found.excerpts) == ({}, ())


def test_no_rows_are_features_without_rows():
    found = features.of_batches([], ENCODER, NAMES)

    assert (len(found), found.vectors.shape, found.total) == (0, (0, 8), 0)


def test_reference_is_read_as_the_log_would_hold_it():
    rows = reference(20).rows

    found = features.of_reference(rows, ENCODER, NAMES, lambda text: text.replace("the", "<x>"))

    assert found.truth.tolist() == found.labels.tolist()
    assert found.numeric["characters"].tolist() == [len(t) for t in rows["text"].to_pylist()]
    assert not any("the" in text for text in found.excerpts)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label": ["Weather"]}, "label 'Weather' is none of the model's: World, Sports"),
        ({"probabilities": [[0.5, 0.5]]}, "not every row has 4 probabilities"),
        ({"confidence": [float("nan")]}, "1 values of confidence are no numbers"),
    ],
)
def test_answer_that_the_model_cannot_have_given_breaks_the_monitor(changes, told):
    with pytest.raises(MonitorBroken, match=told):
        features.of_batches([batch(1, **changes)], ENCODER, NAMES)


def test_long_texts_are_taken_a_few_at_a_time():
    texts = ["goal " * 200_000] * 20

    chunks = list(features._chunks(batch(20, text=texts)))

    assert pa.Table.from_batches(chunks).num_rows == 20
    assert max(len(chunk) for chunk in chunks) <= 9
