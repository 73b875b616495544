import json
import sys

import jsonschema_rs  # what schemathesis validates with: not Python's regular expressions
import pytest

from serving import bodies, contract
from serving.contract import Answer, Refusal

LABELS = ("World", "Sports", "Business", "Sci/Tech")
SURE = Answer("Business", 0.7, (0.1, 0.15, 0.7, 0.05), truncated=False)


def ask(body: str, allowed: tuple[str, ...] = ("text", "data", "texts")):
    return contract.ask_of(bodies.parse(body.encode()), allowed)


def test_the_key_of_the_request_chooses_its_shape():
    assert isinstance(ask('{"text": "a"}'), contract.TextRequest)
    assert isinstance(ask('{"data": "a"}'), contract.DataRequest)
    assert isinstance(ask('{"texts": ["a"]}'), contract.TextsRequest)


def test_data_is_answered_with_the_three_likeliest_labels_in_order():
    answer = contract.data_answer(SURE, LABELS)

    assert answer["main_category"] == ["Business", "Sports", "World"]
    assert answer["probabilities"] == [0.7, 0.15, 0.1]


def test_a_model_of_two_classes_answers_two():
    two = Answer("POSITIVE", 0.9, (0.1, 0.9), truncated=False)

    answer = contract.data_answer(two, ("NEGATIVE", "POSITIVE"))

    assert answer["main_category"] == ["POSITIVE", "NEGATIVE"]


def test_truncated_is_told_only_when_tokens_were_cut():
    cut = Answer("World", 0.9, (0.9, 0.1, 0.0, 0.0), truncated=True)

    assert contract.text_answer(cut, "v1", 0.1)["truncated"] is True
    assert "truncated" not in contract.text_answer(SURE, "v1", 0.1)


def test_a_text_of_exactly_the_limit_is_taken():
    assert contract.texts_of(ask(json.dumps({"text": "x" * 512})), 512, 8) == ["x" * 512]


def test_a_text_over_the_limit_is_refused_in_the_words_of_the_contract():
    with pytest.raises(Refusal) as refused:
        contract.texts_of(ask(json.dumps({"text": "x" * 513})), 512, 8)

    assert refused.value.message == "Text length exceeds maximum limit of 512 characters"
    assert (refused.value.status, refused.value.error) == (422, "validation_error")


def test_a_batch_names_the_text_that_is_wrong():
    with pytest.raises(Refusal, match=r"^texts\[1\]: Text is empty$"):
        contract.texts_of(ask('{"texts": ["a", " "]}'), 512, 8)


def test_one_letter_is_written_in_one_way_and_another_stays_another():
    decomposed, ligature = "cafe\u0301", "o\ufb03ce"

    assert contract.fit(decomposed, 512) == "caf\u00e9"
    assert contract.fit(ligature, 512) == ligature


@pytest.mark.parametrize("text", ["a\tb\r\nc", "don\x92t", "\u202e\u200b abc", "😀"])
def test_what_real_texts_hold_is_taken(text):
    assert contract.fit(text, 512) == text


@pytest.mark.parametrize("text", ["ab\x00c", "ab\x1b[31m", "ab\x7f"])
def test_a_control_character_is_refused_with_its_place(text):
    with pytest.raises(Refusal, match=rf"control character U\+{ord(text[2]):04X} at 2$"):
        contract.fit(text, 512)


def test_half_of_a_surrogate_pair_is_refused_with_its_place():
    with pytest.raises(Refusal, match=r"half of a surrogate pair at 1$"):
        contract.fit("a\ud800", 512)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"text": "a", "secret word": 1}', "Unknown field; allowed: text, model_version"),
        ('{"data": "a", "model_version": "v1"}', "Unknown field; allowed: data"),
        ('{"text": 1}', "text: Input should be a valid string"),
        ('{"texts": ["a", null]}', "texts.1: Input should be a valid string"),
        ('{"text": "a", "data": "b"}', 'The body must have exactly one of "text" or "data"'),
        ("[]", 'The body must be a JSON object with "text" or "data"'),
    ],
)
def test_a_refusal_says_what_is_wrong_in_our_words(body, message):
    with pytest.raises(Refusal) as refused:
        ask(body, ("text", "data", "texts") if "texts" in body else ("text", "data"))

    assert refused.value.message == message


def test_a_timestamp_is_utc_to_the_second():
    assert len(contract.now()) == len("2024-01-15T10:30:00Z")
    assert contract.now().endswith("Z")


def test_the_document_knows_every_space_that_makes_a_text_empty():
    said = jsonschema_rs.validator_for({"type": "string", "pattern": contract.FIT})
    spaces = [found for at in range(sys.maxunicode) if (found := chr(at)).isspace()]

    assert [f"U+{ord(space):04X}" for space in spaces if said.is_valid(space)] == []
    assert said.is_valid("a")
