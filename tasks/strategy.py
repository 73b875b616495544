"""How a version comes in front of callers: the steps of a rollout and what each must show."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

Strategy = Literal["canary", "linear", "blue-green", "all-at-once"]


class Step(BaseModel, frozen=True, extra="forbid"):
    """So many of the callers, for so long."""

    percent: int = Field(ge=1, le=100)
    minutes: float = Field(gt=0, le=1440)


class Rollout(BaseModel, frozen=True, extra="forbid"):
    """`[rollout]` of a classifier file. Without a version to compare with it is all-at-once."""

    strategy: Strategy = Field(
        "canary",
        description="canary: the steps, then all; linear: the first step again and again; "
        "blue-green: all at once, watched while the old side stays warm; all-at-once: unwatched",
    )
    steps: tuple[Step, ...] = Field(
        (Step(percent=10, minutes=30), Step(percent=50, minutes=60)),
        min_length=1,
        max_length=20,
        description="of canary and linear",
    )
    bake_minutes: float = Field(
        10, ge=0, le=1440, description="watched at 100 %, the old side warm; not all-at-once"
    )
    max_error_rate: float = Field(0.01, gt=0, lt=1, description="share of 5xx")
    max_p99_ms: float = Field(500, gt=0, le=60_000)
    min_requests: int = Field(
        200, ge=1, description="of each side in each step; fewer: longer, then probes, then back"
    )
    max_answer_shift: float = Field(
        0.4,
        gt=0,
        le=1,
        description="how far the share of a label, or of unsure answers, may be from the old "
        "version's, by the prediction log; 1: it is not judged",
    )

    @model_validator(mode="after")
    def _steps_grow(self) -> Self:
        shares = [step.percent for step in self.steps]
        if shares != sorted(set(shares)) or shares[-1] > 99:
            raise ValueError("steps must grow and stay below 100 percent")
        return self

    @property
    def watched(self) -> tuple[Step, ...]:
        """What is judged before all callers get the new version."""
        first = self.steps[0]
        match self.strategy:
            case "canary":
                return self.steps
            case "linear":
                shares = range(first.percent, 100, first.percent)
                return tuple(Step(percent=share, minutes=first.minutes) for share in shares)
            case _:
                return ()

    @property
    def bake(self) -> Step | None:
        """What is judged when all callers have it already."""
        if self.strategy == "all-at-once" or not self.bake_minutes:
            return None
        return Step(percent=100, minutes=self.bake_minutes)


AT_ONCE = Rollout(strategy="all-at-once")
