"""When a window of answered texts counts as drifted, and what then is to be done."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

OnDrift = Literal["retrain", "when-hurting", "alert"]


class Drift(BaseModel, frozen=True, extra="forbid"):
    """`[drift]` of a classifier file."""

    window_hours: float = Field(
        24, gt=0, le=24 * 31, description="the answers of so many hours are looked at"
    )
    window_rows: int = Field(
        0, ge=0, le=10_000_000, description="at most so many answers, the newest; 0: all"
    )
    max_rows: int = Field(
        100_000, ge=1000, le=1_000_000, description="more are sampled, with the error told"
    )
    minimum_rows: int = Field(
        200, ge=30, description="fewer different texts: NO_DATA, which never means that all is well"
    )
    threshold: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="smallest drift score that counts: what the largest effect (0 to 1) has beyond"
        " chance; 0.3 is what many public projects alert at",
    )
    p: float = Field(
        0.004, gt=0, le=0.1, description="DETECTED needs a corrected p-value below this"
    )
    suspected_p: float = Field(
        0.02, gt=0, le=0.2, description="SUSPECTED: below this; twice in a row is DETECTED"
    )
    accuracy_drop: float = Field(
        0.05, gt=0, lt=1, description="accuracy that may be lost before drift is said to hurt"
    )
    on_drift: OnDrift = Field(
        "when-hurting",
        description="retrain: at each DETECTED; when-hurting: only where accuracy was lost,"
        " and labels are asked for where that cannot be told; alert: never by itself",
    )

    @model_validator(mode="after")
    def _suspicion_comes_first(self) -> Self:
        if self.suspected_p < self.p:
            raise ValueError(f"suspected_p {self.suspected_p} must not be below p {self.p}")
        return self
