"""What a classifier file says about the prediction log, and where that leads."""

import pytest
from pydantic import ValidationError

from tasks import targets
from tasks.capture_policy import Capture
from tasks.classifiers import load
from tasks.settings import Settings

NAMES = ("models_bucket", "logs_bucket", "execution_role_arn", "instance_profile")
NAMES += ("alert_topic_arn", "training_image", "serving_image")


def place(**given):
    """Where news is served with these values of its table."""
    settings = Settings(data_bucket="all-data", **dict.fromkeys(NAMES, "x"))
    news = load("news", settings.classifiers_dir)
    changed = news.model_copy(update={"capture": Capture(**given)})
    return targets.place_of(settings, changed, None)


def test_every_classifier_logs_all_requests_below_its_own_name():
    found = place()

    assert found.capture_uri == "s3://all-data/data-capture/news"
    assert (found.capture_percent, found.capture_text, found.capture_seconds) == (100, "mask", 30)


def test_no_percent_is_no_log():
    assert place(percent=0).capture_uri == ""


@pytest.mark.parametrize(
    "wrong", [{"percent": 101}, {"text": "all"}, {"seconds": 0}, {"place": "x"}]
)
def test_what_is_not_allowed_is_refused(wrong):
    with pytest.raises(ValidationError):
        Capture(**wrong)
