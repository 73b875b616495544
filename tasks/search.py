"""What the `tune` flow may try and spend: the section [tuning] of a classifier file."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Value = int | float | str

_DIGITS = 3  # of a searched real number: what is trained is what a person reads in the file
_NOT_SEARCHED = ("seed",)  # the best of several seeds is luck, not a better setting
_LABELS = {
    "per-device-train-batch-size": "batch size",
    "num-train-epochs": "epochs",
    "macro_f1": "macro-F1",
}


def label(key: str) -> str:
    """A hyperparameter or a score as people call it."""
    return _LABELS.get(key, key.replace("-", " ").replace("_", " "))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Search(_Section):
    """Where one hyperparameter is looked for: between two numbers, or among choices."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = Field(False, description="as many tries from 1e-6 to 1e-5 as from 1e-5 to 1e-4")
    choices: tuple[Value, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("takes either choices or low and high, not both")
            if len(set(self.choices)) != len(self.choices):
                raise ValueError("choices must be different from each other")
        elif self.low is None or self.high is None:
            raise ValueError("takes either choices = [...] or both low and high")
        elif self.low >= self.high:
            raise ValueError(f"low {self.low} must be less than high {self.high}")
        elif self.log and self.low <= 0:
            raise ValueError(f"with log = true, low must be more than 0, is {self.low}")
        return self

    @property
    def ends(self) -> tuple[Value, ...]:
        """What has to be allowed for all of it to be allowed."""
        if self.low is None or self.high is None:
            return self.choices
        return (self.low, self.high)

    def holds(self, value: Value) -> bool:
        """Whether the search could come upon this value."""
        if self.low is None or self.high is None or isinstance(value, str):
            return value in self.choices
        return self.low <= value <= self.high

    def neat(self, value: Value) -> Value:
        """The value with the digits that count; still inside."""
        if self.low is None or self.high is None or not isinstance(value, float):
            return value
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


_SPACE = {
    "learning-rate": Search(low=1e-5, high=1e-4, log=True),
    "per-device-train-batch-size": Search(choices=(8, 16, 32)),
    "num-train-epochs": Search(low=2, high=4),
    "warmup-steps": Search(choices=(0, 100, 500)),
    "weight-decay": Search(low=0.0, high=0.1),
}


class Tuning(_Section):
    """How a better set of hyperparameters is looked for, and when to stop looking."""

    trials: int = Field(12, ge=1, le=500, description="failed ones are not counted")
    parallel: int = Field(2, ge=1, le=20, description="training jobs at a time")
    hours: float = Field(12, gt=0, le=720, description="in which jobs of the study run")
    dollars: float | None = Field(None, gt=0, description="empty: no limit")
    dollars_per_hour: float | None = Field(
        None, gt=0, description="what you pay for one training instance of this classifier"
    )
    prune_after_trials: int = Field(3, ge=1, description="complete ones; none is cut short before")
    prune_from_epoch: int = Field(1, ge=1, description="before it none is cut short")
    failures_in_a_row: int = Field(3, ge=1, le=50, description="as many end the flow")
    seed: int = Field(42, ge=0, lt=2**31)
    space: dict[str, Search] = _SPACE

    @model_validator(mode="after")
    def _dollars_have_a_price(self) -> Self:
        if self.dollars is not None and self.dollars_per_hour is None:
            raise ValueError(
                "dollars is a limit only with dollars_per_hour, what one instance costs you"
            )
        return self

    def fitted(self, hyperparameters: type[BaseModel]) -> Self:
        """The same, with every bound checked by the training job's own rules."""
        fields = {
            field.alias or name: field for name, field in hyperparameters.model_fields.items()
        }
        space = {}
        for key, search in self.space.items():
            if key not in fields or key in _NOT_SEARCHED:
                allowed = ", ".join(name for name in fields if name not in _NOT_SEARCHED)
                raise ValueError(f"space.{key}: cannot be searched; allowed are {allowed}")
            if search.choices == () and fields[key].annotation is str:
                raise ValueError(f"space.{key}: is a text, so it takes choices = [...]")
            try:
                ends = [_allowed(hyperparameters, key, end) for end in search.ends]
            except ValidationError as error:
                told = error.errors()[0]
                raise ValueError(f"space.{key}: {told['input']!r}: {told['msg']}") from error
            given = (
                {"choices": tuple(ends)} if search.choices else {"low": ends[0], "high": ends[1]}
            )
            space[key] = search.model_copy(update=given)
        if not space:
            raise ValueError("space: is empty, there is nothing to search")
        return self.model_copy(update={"space": space})


def _allowed(hyperparameters: type[BaseModel], key: str, value: Value) -> Value:
    dumped = hyperparameters.model_validate({key: value}).model_dump(by_alias=True)
    found: Value = dumped[key]
    return found
