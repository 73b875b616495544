import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins.references import tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers

from training.encoder import TokenReader

READER = TokenReader(tokenizer())
LETTERS = st.sampled_from([*"aboi ,.'#[]9Ä", "\t", "\n", "\xa0", "\x85", "\x00", "the", "[UNK]"])


@given(st.lists(st.lists(LETTERS, max_size=20).map("".join), max_size=6))
def test_tokens_by_words_are_those_of_the_whole_texts(texts):
    found, whole = READER(texts), READER._read(texts)

    assert found.ids.tolist() == whole.ids.tolist()
    assert found.begins.tolist() == whole.begins.tolist()


def test_shares_and_means_are_of_each_text():
    tokens = READER(["the goal", "", "zzz the"])
    table = np.eye(READER.size, dtype=np.float32)

    assert tokens.counts.tolist() == [2, 0, 4]
    assert tokens.share(READER.continuing).tolist() == [0, 0, 0.5]
    assert tokens.means(table).sum(axis=1).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("model", "unknown", "continuing"),
    [
        (models.WordLevel({"[UNK]": 0, "▁a": 1, "b": 2}, unk_token="[UNK]"), [0], [2]),
        (models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("b", -1.0)], unk_id=0), [0], [2]),
        (models.BPE({"Ġa": 0, "b": 1}, []), [], [1]),
    ],
    ids=["word level", "unigram", "byte pairs"],
)
def test_unknown_and_continuing_tokens_of_other_tokenizers(model, unknown, continuing):
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.Metaspace()

    reader = TokenReader(made.to_str())

    assert np.flatnonzero(reader.unknown).tolist() == unknown
    assert np.flatnonzero(reader.continuing).tolist() == continuing
    assert len(reader(["a b"]).begins) == 2
