"""Keeps what is served as the plan says it; what cannot be had changes nothing."""

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path

from serving.errors import CannotStart
from serving.plan import FixedPlan, NoPlan, Plan, PlanFile, Source
from serving.registry import AliasPlan
from serving.settings import ServingSettings
from serving.versions import Versions

logger = logging.getLogger(__name__)

_AGAIN_S = 5
_LONGEST_S = 300


class Following:
    """Reads the source again and again, and applies what is new."""

    def __init__(self, source: Source, versions: Versions, kept: Path | None = None) -> None:
        self.failures = 0
        self.refused = ""
        self._source = source
        self._versions = versions
        self._kept = kept
        self._applied: Plan | None = None
        self._bad: Plan | None = None
        self._not_before = 0.0
        self._misses = 0
        self._tries = 0

    async def start(self) -> None:
        """Serve the first plan; raises CannotStart.

        While the registry is away, a server that starts goes on with what it last served.
        """
        try:
            plan = await self._source.read()
        except NoPlan as error:
            plan = self._last(error)
            self._missed(str(error))
        await self._apply(plan)

    async def run(self) -> None:
        """Follow until cancelled; a plan that never changes is not looked at again."""
        while self._source.interval_s:
            pause = self._source.interval_s * 2 ** min(self._misses, 10)
            await asyncio.sleep(min(pause, max(self._source.interval_s, _LONGEST_S)))
            await self.look()

    async def look(self) -> None:
        """Apply the plan if it is another one than before; a failure is told and counted."""
        try:
            plan = await self._source.read()
        except NoPlan as error:
            self._missed(str(error))
            return
        self._misses = 0
        if plan == self._applied and not self._versions.lost:
            self._bad, self.refused = None, ""
        elif plan != self._bad or time.monotonic() >= self._not_before:
            try:
                await self._apply(plan)
            except CannotStart as error:
                self._refuse(plan, str(error))
            except Exception as error:  # whatever it is, what answers goes on answering
                logger.exception("a plan could not be applied")
                self._refuse(plan, repr(error))

    async def _apply(self, plan: Plan) -> None:
        await self._versions.apply(plan)
        self._applied, self._bad, self.refused = plan, None, ""
        if self._kept:
            with suppress(OSError):  # a full disk must not end what is served
                partial = self._kept.with_suffix(".partial")
                partial.write_text(plan.model_dump_json())
                partial.replace(self._kept)

    def _last(self, error: NoPlan) -> Plan:
        try:
            return Plan.model_validate_json(self._kept.read_bytes() if self._kept else b"")
        except (OSError, ValueError):
            raise CannotStart(str(error)) from error

    def _missed(self, reason: str) -> None:
        self._misses += 1
        self._count(reason)

    def _refuse(self, plan: Plan, reason: str) -> None:
        """Not to be tried again at once: each try costs a load."""
        self._tries = self._tries + 1 if plan == self._bad else 0
        self._bad = plan
        self._not_before = time.monotonic() + min(_AGAIN_S * 2**self._tries, _LONGEST_S)
        self._count(reason)

    def _count(self, reason: str) -> None:
        self.failures += 1
        self.refused = reason
        logger.error("what is served stays as it was", extra={"fields": {"reason": reason}})


def following(settings: ServingSettings, versions: Versions) -> Following:
    """What the settings say to follow."""
    if settings.plan_file:
        return Following(PlanFile(settings.plan_file), versions)
    if not settings.follow_alias:
        return Following(FixedPlan(settings), versions)
    source = AliasPlan(
        settings.mlflow_tracking_uri,
        settings.model_name,
        settings.follow_alias,
        settings.follow_interval_s,
    )
    kept = f"{settings.model_name}-{settings.follow_alias}.json".replace("/", "_")
    return Following(source, versions, settings.model_cache_dir / kept)
