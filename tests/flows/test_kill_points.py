"""A release or a rollback dies right after each of its effects; whoever comes next ends it well."""

from collections import Counter
from itertools import count
from types import SimpleNamespace

import pytest
from plugins.releases import MODEL
from plugins.sudden_death import Killed, StrictRoom

from flows.deploy import RolloutPlan, deploy
from flows.rollback import rollback
from tasks import recovery, runs, targets
from tasks.adapters import aws, journal, ledger, registry
from tasks.errors import GateFailed, NotFound
from tasks.policy import releases
from tasks.policy.recovery import Fate
from tasks.records import Entry, Served
from tasks.settings import Settings
from tasks.strategy import Rollout, Step

STEPS = (Step(percent=10, minutes=1), Step(percent=50, minutes=1))
PLAN = RolloutPlan(rollout=Rollout(steps=STEPS, bake_minutes=1))
NUMBERS = count(1)


@pytest.fixture(scope="session")
def prefect_server():
    """No engine, no server."""


class World:
    """Two versions that passed, and an environment of its own for every death."""

    def __init__(self, shelf, process, patch):
        self.shelf, self.process, self.patch = shelf, process, patch
        self.registry = registry.client(shelf.mlflow)
        self.old, self.new = (self.served(shelf.version(seed=seed)) for seed in (1, 2))
        patch.setattr(runs, "fate", self.fate)
        patch.setattr(runs, "start", self.start)

    def served(self, version):
        found = registry.get_version(self.registry, MODEL, version)
        return Served(version, found.bundle_uri, found.bundle_digest, "ec2")

    def begin(self, *champions):
        """Nothing happened yet but that these were released, one after the other."""
        self.process.start("a test")
        self.shelf.environment = f"death-{next(NUMBERS)}"
        self.patch.setenv("PERENNIAL_ENVIRONMENT", self.shelf.environment)
        self.room, self.started, self.release = StrictRoom(process=self.process), set(), None
        self.patch.setitem(targets.TARGETS, "ec2", self.room)
        registry.delete_alias(self.registry, MODEL, "previous")
        for served in champions:
            self.released(served)

    def released(self, served):
        place = (aws.client("s3"), self.shelf.bucket)
        folder = f"releases/{self.shelf.environment}/news"
        claim = releases.claimed(self.release, "news", self.shelf.environment, served, "a test")
        self.release = journal.write(*place, f"{folder}/journal.json", releases.committed(claim))
        at = f"2026-01-15T10:30:0{self.release.generation}+00:00"
        evidence = {"bundle": served.bundle_digest, "uri": served.bundle_uri, "target": "ec2"}
        entry = Entry(at, "a test", "released", "news", served.version, "", claim.op_id, evidence)
        ledger.append(*place, f"{folder}/ledger", entry)
        registry.set_alias(self.registry, MODEL, "champion", served.version)
        self.room.running, self.room.public = {served.version: served}, served.version
        self.room.reached = {served.version}

    def fate(self, holder):
        return Fate.ALIVE if holder == self.process.name else Fate.OVER

    def start(self, name, parameters, key):
        """The run of rollback/news that reconcile asks for, once for each key."""
        if key not in self.started:
            self.started.add(key)
            rollback("news", **parameters)
        return SimpleNamespace(state=None)

    def check(self, expected):
        """All that can name a champion name this one; what happened is told once."""
        release, told = self.shelf.journal(), self.shelf.ledger()
        made = [entry.version for entry in told if entry.action in ("released", "returned")]
        named = (self.room.public, release.champion.version, self.shelf.alias("champion"), made[-1])
        assert named == (expected.version,) * 4
        assert (release.state in releases.UNFINISHED, release.candidate) == (False, None)
        assert self.room.share in (0, 100)
        assert max(Counter((entry.op_id, entry.action) for entry in told).values()) == 1
        if release.state == releases.LIVE:
            assert set(self.room.running) == {expected.version}


def good(world):
    deploy("news", world.new.version, PLAN)


def bad(world):
    """It answers with errors once half of the callers have it, and is taken back."""
    world.room.answered = lambda share: ((2000, 400 if share == 50 else 0, 0), (2000, 0, 0))
    with pytest.raises(GateFailed, match="50 % of the callers"):
        deploy("news", world.new.version, PLAN)


def back(world):
    rollback("news", reason="nonsense")


def good_again(world):
    good(world)
    assert world.room.done.count(("start", world.new.version)) == 1
    return world.new


def bad_again(world):
    bad(world)
    return world.old


def go_back(world):
    if world.shelf.journal().state == releases.ROLLED_BACK:
        with pytest.raises(NotFound, match="nothing served well before"):
            back(world)
    else:
        back(world)
    return world.old


def reconcile(world):
    """The rollback that it may have to start goes on to where it was going."""
    release = world.shelf.journal()
    expected = release.candidate if release.going_back and release.candidate else release.champion
    for _ in range(2):
        recovery.attend(Settings(), "news")
    return expected


DEATHS = {
    good: ("old", (good_again, reconcile, go_back)),
    bad: ("old", (reconcile, go_back, bad_again)),
    back: ("old new", (go_back, reconcile)),
}


@pytest.mark.parametrize("run", DEATHS)
def test_it_ends_well(shelf, mortal, monkeypatch, subtests, run):
    world = World(shelf, mortal, monkeypatch)
    before, ways = DEATHS[run]
    for number in count(1):
        way = ways[number % len(ways)]
        world.begin(*(getattr(world, name) for name in before.split()))
        mortal.start("the first run", dies_after=number)
        try:
            run(world)
        except Killed:
            with subtests.test(f"{number}: {mortal.effects[-1]}, then {way.__name__}"):
                mortal.start("the next run")
                world.check(way(world))
        else:
            break
    assert number > 12
