"""When a classifier is trained again by itself: the section [retrain] of a classifier file."""

from typing import Self

from pydantic import BaseModel, Field, model_validator


class Retrain(BaseModel, frozen=True, extra="forbid"):
    """`[retrain]` of a classifier file: bounds of what nobody asked for by hand."""

    cooldown_hours: float = Field(
        24, ge=0, le=720, description="after a retrain ended, until the next one may begin"
    )
    max_per_week: int = Field(3, ge=1, le=100, description="retrains in any 7 days")
    max_cost_usd: float | None = Field(
        None, gt=0, description="of all retrains in any 7 days; empty: no limit"
    )
    dollars_per_hour: float | None = Field(
        None, gt=0, description="what you pay today for one training instance of this classifier"
    )
    stop_after: int = Field(
        3, ge=1, le=20, description="retrains in a row that were not promoted; then a person is due"
    )

    @model_validator(mode="after")
    def _dollars_have_a_price(self) -> Self:
        if self.max_cost_usd is not None and self.dollars_per_hour is None:
            raise ValueError(
                "max_cost_usd is a limit only with dollars_per_hour, what one instance costs you"
            )
        return self
