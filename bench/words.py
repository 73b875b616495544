"""TF-IDF + logistic regression: what words alone can do on the same rows."""

from collections.abc import Mapping

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bench.rows import Rows


def answers(
    train: Rows, texts: list[str], options: Mapping[str, object], *, balanced: bool = False
) -> list[str]:
    """Labels for the texts; `options` are the vectoriser's."""
    vectors = TfidfVectorizer(**options)
    model = LogisticRegression(C=10, max_iter=300, class_weight="balanced" if balanced else None)
    model.fit(vectors.fit_transform([text for text, _ in train]), [label for _, label in train])
    return [str(label) for label in model.predict(vectors.transform(texts))]
