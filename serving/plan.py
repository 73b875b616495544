"""Which versions answer, and in which shares; where the plan of it is read."""

import asyncio
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from serving.settings import ServingSettings

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$"
_LOOK_S = 1.0


class NoPlan(Exception):
    """The plan cannot be read, or is none; the message says why in one line."""


class PlannedVersion(BaseModel, frozen=True, extra="forbid"):
    """One version: a bundle's folder on this machine, or its model.tar.gz on S3 and its digest."""

    version: str = Field(pattern=NAME)
    path: Path | None = None
    uri: str = Field("", pattern=r"^(s3://[^/]+/.+)?$")
    digest: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="of its manifest.json")
    weight: float = Field(1.0, ge=0, le=1e6, allow_inf_nan=False, description="0: only if asked")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (not self.uri):
            raise ValueError(f"version {self.version}: give either path or uri")
        if self.uri and not self.digest:
            raise ValueError(f"version {self.version}: a uri needs the digest that was evaluated")
        return self


class Plan(BaseModel, frozen=True, extra="forbid"):
    """The versions that are to answer; the primary is the one that /health and /model/info name."""

    versions: tuple[PlannedVersion, ...] = Field(min_length=1, max_length=4)
    primary: str = Field("", description="may be left out when there is one version")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [planned.version for planned in self.versions]
        if len(set(names)) < len(names):
            raise ValueError(f"versions must differ, they are {', '.join(names)}")
        if len(names) > 1 and self.primary not in names:
            raise ValueError(f"primary must be one of {', '.join(names)}")
        if self.primary not in ("", names[0]) and len(names) == 1:
            raise ValueError(f"primary must be {names[0]}, the only version")
        if not any(planned.weight for planned in self.versions):
            raise ValueError("one version at least needs a weight over 0")
        return self

    @property
    def leading(self) -> str:
        """The primary's name."""
        return self.primary or self.versions[0].version


class Source(Protocol):
    """Where plans come from; one that never changes has no interval."""

    interval_s: float

    async def read(self) -> Plan:
        """The plan as it is now; raises NoPlan."""


class FixedPlan:
    """The one bundle that MODEL_PATH and MODEL_VERSION name; it never changes."""

    interval_s = 0.0

    def __init__(self, settings: ServingSettings) -> None:
        one = PlannedVersion(version=settings.model_version, path=settings.model_path)
        self._plan = Plan(versions=(one,))

    async def read(self) -> Plan:
        return self._plan


class PlanFile:
    """A JSON file that whoever deploys replaces by renaming; it is looked at every second."""

    interval_s = _LOOK_S

    def __init__(self, file: Path) -> None:
        self._file = file

    async def read(self) -> Plan:
        try:
            content = await asyncio.to_thread(self._file.read_bytes)
            return Plan.model_validate_json(content)
        except OSError as error:
            raise NoPlan(f"PLAN_FILE={self._file}: {error.strerror}") from error
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(map(str, problem["loc"]))
            said = str(problem["msg"]).removeprefix("Value error, ")
            raise NoPlan(f"PLAN_FILE={self._file}: {f'{where}: ' if where else ''}{said}") from None
