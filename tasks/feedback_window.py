"""Which of the callers' labels a data set takes in; a parameter of flows."""

from datetime import timedelta
from typing import Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator


class FeedbackWindow(BaseModel, frozen=True, extra="forbid"):
    """The labels that came from `since` on and before `until`."""

    since: AwareDatetime
    until: AwareDatetime
    reach_days: float = Field(
        60, gt=0, le=3650, description="how much older than `since` a labelled answer may be"
    )
    needed: bool = Field(
        True, description="labels that cannot be learned from are an error; else they are left out"
    )

    @model_validator(mode="after")
    def _is_a_span(self) -> Self:
        if self.since >= self.until:
            raise ValueError(f"since {self.since} must be before until {self.until}")
        return self

    @property
    def answered_since(self) -> AwareDatetime:
        """The first moment of an answer that a label of the window may be about."""
        return self.since - timedelta(days=self.reach_days)
