import numpy as np

from tasks.policy.terms import new_terms


def test_words_that_came_up_are_named_surest_first():
    reference = {"the": 900, "goal": 50, "war": 40}
    window = {"the": 450, "goal": 26, "deepfake": 60, "war": 70, "rare": 4}

    found = new_terms(reference, window, reference_total=1000, total=500)

    assert [(term.word, term.rows, term.reference_rows) for term in found] == [
        ("deepfake", 60, 0),
        ("war", 70, 40),
    ]
    assert found[0].z > found[1].z > 3


def test_draws_from_the_reference_itself_have_few_new_words():
    random = np.random.default_rng(3)
    shares = 0.5 / np.arange(1, 3000) ** 0.8
    reference, window = (random.binomial(rows, shares) for rows in (7600, 500))

    found = new_terms(
        {str(word): int(rows) for word, rows in enumerate(reference)},
        {str(word): int(rows) for word, rows in enumerate(window)},
        reference_total=7600,
        total=500,
    )

    assert len(found) <= 3
