"""When labels that callers send are a reason to train again."""

from pydantic import BaseModel, Field


class Feedback(BaseModel, frozen=True, extra="forbid"):
    """`[feedback]` of a classifier file."""

    accuracy: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="a version that is below it for certain is a reason; empty: gates.accuracy",
    )
    window_days: float = Field(
        7, gt=0, le=365, description="answers of so many days are judged by their labels"
    )
    minimum_labels: int = Field(30, ge=10, description="fewer are never a reason")
    new_labels: int = Field(
        0,
        ge=0,
        description="so many since the data of the version that serves are a reason; 0: never",
    )
