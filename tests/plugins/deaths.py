"""A release that dies after each of its effects, and whether whoever comes next ends it well."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plugins import logged
from plugins.releases import MODEL, Shelf
from plugins.rewinding import Folder, PutBack, Rows
from plugins.sudden_death import Clock, Process

from flows.rollback import rollback
from tasks import runs, targets
from tasks.adapters import aws, journal, ledger, registry, scaling
from tasks.policy import releases
from tasks.policy.recovery import Fate
from tasks.records import Entry, Served
from tasks.settings import Settings

Way = Callable[["World"], Any]
NUMBERS = count(1)


@dataclass
class Scaling:
    """Which variants of an endpoint are registered to grow, and whether a policy makes them."""

    client: Any
    endpoint: str

    def read(self) -> dict[str, bool]:
        targets = self._named("describe_scalable_targets", "ScalableTargets")
        policies = self._named("describe_scaling_policies", "ScalingPolicies")
        return {variant: variant in policies for variant in targets}

    def _named(self, operation: str, found: str) -> set[str]:
        pages = self.client.get_paginator(operation).paginate(ServiceNamespace="sagemaker")
        places = (name.split("/") for name in pages.search(f"{found}[].ResourceId"))
        return {variant for _, endpoint, _, variant in places if endpoint == self.endpoint}

    def keep(self) -> PutBack:
        held = self.read()
        return lambda: self._put_back(held)

    def _put_back(self, held: dict[str, bool]) -> None:
        """A target that had no policy yet gets it: that is what its run does next."""
        now = self.read()
        for variant in now.keys() - held.keys():
            scaling.remove(self.client, self.endpoint, variant)
            self.client.delete_scaling_policy(
                ServiceNamespace="sagemaker",
                ResourceId=f"endpoint/{self.endpoint}/variant/{variant}",
                ScalableDimension="sagemaker:variant:DesiredInstanceCount",
                PolicyName=f"{self.endpoint}-{variant}-load",
            )
        for variant in held.keys() - now.keys():
            scaling.ensure(self.client, self.endpoint, variant)


class World:
    """Two versions that passed, and a home for them in an environment of its own."""

    def __init__(
        self,
        shelf: Shelf,
        process: Process,
        clock: Clock,
        database: Path,
        patch: pytest.MonkeyPatch,
        home: Any,
    ) -> None:
        self.shelf, self.process, self.home = shelf, process, home
        shelf.environment = f"death-{next(NUMBERS)}"
        patch.setenv("PERENNIAL_ENVIRONMENT", shelf.environment)
        patch.setitem(targets.TARGETS, home.target, home.adapter)
        patch.setattr(runs, "fate", self.fate)
        patch.setattr(runs, "start", self.start)
        self.registry, s3 = registry.client(shelf.mlflow), aws.client("s3")
        self.old, self.new = (self.served(shelf.version(seed=seed)) for seed in (1, 2))
        for alias in ("champion", "previous"):
            registry.delete_alias(self.registry, MODEL, alias)  # type: ignore[arg-type]
        self.release: Any = None
        self.asked: set[str] = set()  # runs of rollback
        folder = Folder(s3, shelf.bucket, f"releases/{shelf.environment}/")
        self.parts = (home, clock, folder, Rows(database))
        endpoint = f"perennial-{shelf.environment}-news"
        self.scaling = Scaling(aws.client("application-autoscaling"), endpoint)
        if home.target == "sagemaker":
            self.parts += (self.scaling,)

    def served(self, version: str) -> Served:
        found = registry.get_version(self.registry, MODEL, version)
        return Served(version, found.bundle_uri, found.bundle_digest, self.home.target)

    def released(self, served: Served) -> None:
        """As a finished deploy leaves it."""
        place = (aws.client("s3"), self.shelf.bucket)
        folder = f"releases/{self.shelf.environment}/news"
        claim = releases.claimed(self.release, "news", self.shelf.environment, served, "a test")
        self.release = journal.write(*place, f"{folder}/journal.json", releases.committed(claim))
        at = f"2026-01-15T10:30:0{self.release.generation}+00:00"
        evidence = {"bundle": served.bundle_digest, "uri": served.bundle_uri}
        evidence["target"] = served.target
        entry = Entry(at, "a test", "released", "news", served.version, "", claim.op_id, evidence)
        ledger.append(*place, f"{folder}/ledger", entry)
        registry.set_alias(self.registry, MODEL, "champion", served.version)
        self.home.serve(served)

    def logged(self, served: Served, texts: list[str]) -> None:
        """Callers have asked it these, a moment ago."""
        settings, now = Settings(), datetime.now(UTC)
        bucket, told = settings.data_bucket, {"bundle_digest": served.bundle_digest}
        asked = [logged.answer(text, now, text, version=served.version) for text in texts]
        logged.ship(bucket, [replace(one, **told) for one in asked])

    def fate(self, holder: str) -> Fate:
        return Fate.ALIVE if holder == self.process.name else Fate.OVER

    def start(self, name: str, parameters: dict[str, Any], key: str) -> Any:
        """The run of rollback/news that reconcile asks for, once for each key."""
        if key not in self.asked:
            self.asked.add(key)
            rollback("news", **parameters)
        return SimpleNamespace(state=None)

    def dies(self, run: Way, ways: tuple[Way, ...], subtests: Any, after: str = "") -> int:
        """`run`, which dies after each of its effects of that kind; how often that was."""
        number, seen = 0, Counter[str]()

        def next_one(effect: str) -> None:
            nonlocal number
            if not re.search(after, effect):
                return
            number += 1
            seen[effect] += 1  # each step has as many effects as there are ways
            way = ways[(number + seen[effect]) % len(ways)]
            with subtests.test(f"{number}: {effect}, then {way.__name__}"), self.for_a_moment():
                self.check(way(self))

        with self.process.another("the first run", next_one):
            run(self)
        return number

    @contextmanager
    def for_a_moment(self) -> Iterator[None]:
        """Somebody else does something, and then it never was."""
        with self.process.another("the next run"):
            asked, put_back = set(self.asked), [part.keep() for part in self.parts]
            try:
                yield
            finally:
                self.asked = asked
                for one in put_back:
                    one()

    def check(self, expected: Served | None) -> None:
        """All that can name a champion name this one, or none; what happened is told once."""
        release, told = self.shelf.journal(), self.shelf.ledger()
        made = [entry.version for entry in told if entry.action in ("released", "returned")]
        version = expected and expected.version
        champion = release and release.champion and release.champion.version
        alias = self.registry.get_registered_model(MODEL).aliases.get("champion")
        named = (self.home.public or None, champion, alias)
        assert (*named, made[-1] if made else None) == (version,) * 4
        assert max(Counter((entry.op_id, entry.action) for entry in told).values(), default=1) == 1
        assert self.home.share in (0, 100)
        if self.home.target == "sagemaker":
            assert self.scaling.read() == ({f"v{version}": True} if version else {})
        if release is None:
            return
        assert (release.state in releases.UNFINISHED, release.candidate) == (False, None)
        if release.state == releases.LIVE or self.home.target in targets.UNDIVIDED:
            assert list(self.home.running) == ([version] if version else [])
