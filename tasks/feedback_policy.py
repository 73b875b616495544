"""What labels that callers send are good for: to learn from, and to ask for a retrain."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from tasks.feedback_window import FeedbackWindow


class Feedback(BaseModel, frozen=True, extra="forbid"):
    """`[feedback]` of a classifier file."""

    keep_days: float = Field(
        30, gt=0, le=3650, description="a retrain learns from the labels of so many days"
    )
    reach_days: float = Field(
        30, gt=0, le=3650, description="how much older than that a labelled answer may be"
    )
    accuracy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="a version that is below it for certain is a reason to retrain; empty:"
        " gates.accuracy",
    )
    window_days: float = Field(
        7, gt=0, le=365, description="answers of so many days are judged by their labels"
    )
    minimum_labels: int = Field(30, ge=10, description="fewer never say that a version is bad")
    new_labels: int = Field(
        0,
        ge=0,
        description="so many since the newest data set are a reason to retrain; 0: never",
    )

    def window(self, until: datetime) -> FeedbackWindow:
        """The labels that a retrain learns from: of all that came lately, not of one check only.

        Else the next retrain would forget what this one has learned.
        """
        since = until - timedelta(days=self.keep_days)
        return FeedbackWindow(since=since, until=until, reach_days=self.reach_days)
