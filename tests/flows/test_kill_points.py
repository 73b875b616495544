"""A release or a rollback dies right after each of its effects; whoever comes next ends it well."""

from hashlib import sha256

import pytest
from plugins.bundles import LABELS, make_tar
from plugins.deaths import World
from plugins.releases import SNAPSHOT
from plugins.strict_room import StrictRoom

from flows.deploy import RolloutPlan, deploy
from flows.rollback import rollback
from tasks import recovery, targets
from tasks.adapters import aws, updates
from tasks.classifiers import load
from tasks.errors import DeployFailed, GateFailed, NotFound, OldSideDown
from tasks.policy import releases
from tasks.settings import Settings
from tasks.strategy import Rollout, Step
from training.formats import BundleManifest

STEPS = (Step(percent=10, minutes=1), Step(percent=50, minutes=1))
ROLLOUT = Rollout(steps=STEPS, bake_minutes=1, min_requests=12)
ASKED = [f"what callers asked, {number}" for number in range(ROLLOUT.min_requests)]


@pytest.fixture(scope="session")
def prefect_server():
    """No engine, no server."""


@pytest.fixture(scope="session")
def tiny_model_tar(tmp_path_factory):
    """Bundles that nobody loads: without torch, which is half of the time."""

    def make(seed, **_):
        folder = tmp_path_factory.mktemp("bundle")
        (folder / "model").mkdir()
        weights = str(seed).encode()
        told = BundleManifest(
            classifier="news",
            task="news-topic",
            base_model="none",
            labels=LABELS,
            max_length=32,
            total_parameters=1,
            files={"weights": sha256(weights).hexdigest()},
            hyperparameters={},
            metrics={},
            snapshot_sha256=SNAPSHOT,
            git_sha="0" * 40,
            job_name=f"tiny-{seed}",
        )
        (folder / "model/weights").write_bytes(weights)
        (folder / "model/manifest.json").write_bytes(told.to_bytes())
        return make_tar(folder / "model", folder / "model.tar.gz")

    return make


@pytest.fixture
def world_of(shelf, mortal, clock, mlflow_folder, monkeypatch):
    """`world_of(home, "old new")`: these were released there, one after the other."""

    def make(home, before):
        world = World(shelf, mortal, clock, mlflow_folder / "mlflow.db", monkeypatch, home)
        for name in before.split():
            world.released(getattr(world, name))
        return world

    return make


def good(world):
    deploy("news", world.new.version, RolloutPlan(target=world.home.target, rollout=ROLLOUT))


def bad(world):
    """It answers with errors once half of the callers have it, and is taken back."""
    world.home.answered = lambda share: ((2000, 400 if share == 50 else 0, 0), (2000, 0, 0))
    with pytest.raises(GateFailed, match="50 % of the callers"):
        good(world)


def broken(world):
    """It has no answer to what callers have asked."""
    world.home.chokes = {(world.new.version, text) for text in ASKED}
    with pytest.raises(GateFailed, match="replay to version"):
        good(world)


def refused(world):
    """AWS has room for it apart from callers, and none when it shall have them all."""
    world.home.lost.add(world.new.version)
    with pytest.raises(DeployFailed, match="AWS rolled it back"):
        good(world)


def one_way(world):
    """What served until now would not come up again."""
    world.home.lost.add(world.old.version)
    good(world)


def torn(world):
    """The new version answers with errors, and the old one does not answer any more."""

    def answered(share):
        if share == 50:
            world.home.down.add(world.old.version)
        return (2000, 400 if share == 50 else 0, 0), (2000, 0, 0)

    world.home.answered = answered
    with pytest.raises(OldSideDown, match="callers are not sent back to it"):
        good(world)


def back(world):
    rollback("news", reason="nonsense")


def good_again(world):
    good(world)
    assert world.home.done.count(("start", world.new.version)) == 1
    assert world.home.done.count(("switch", world.new.version)) <= 1
    return world.new


def bad_again(world):
    bad(world)
    return world.old


def broken_again(world):
    broken(world)
    return world.old


def go_back(world):
    if world.shelf.journal().state == releases.ROLLED_BACK:
        with pytest.raises(NotFound, match="nothing served well before"):
            back(world)
    else:
        back(world)
    return world.old


def go_back_to_nothing(world):
    """Who asks for it is told so; then it is taken back, or stays where it was committed."""
    with pytest.raises(NotFound, match=r"never had a champion|nothing served well before"):
        back(world)
    return reconcile(world)


def mend(world):
    """Callers are sent back once there is somebody to answer them."""
    expected = reconcile(world)
    world.home.down.clear()
    world.home.lost.clear()
    with world.process.another("a later run"):
        reconcile(world)
    return expected


def reconcile(world):
    """The rollback that it may have to start goes on to where it was going."""
    release = world.shelf.journal()
    expected = release.candidate if release.going_back and release.candidate else release.champion
    for _ in range(2):
        recovery.attend(Settings(), "news")
    return expected


DEATHS = {
    "a release": (good, "old", (good_again, reconcile, go_back)),
    "the first release": (good, "", (good_again, reconcile, go_back_to_nothing)),
    "a bad release": (bad, "old", (reconcile, go_back, bad_again)),
    "a rollback": (back, "old new", (go_back, reconcile)),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_room_is_left_well(world_of, mortal, subtests, death):
    run, before, ways = DEATHS[death]
    world = world_of(StrictRoom(process=mortal), before)

    assert world.dies(run, ways, subtests) > 12


# What the release writes elsewhere is the same in a room.
ENDPOINTS_MATTER = r"^POST / |journal\.json"
MORE_DEATHS = {"a release between two bad ones": (torn, "old", (mend,))}


@pytest.mark.parametrize("death", DEATHS | MORE_DEATHS)
def test_an_endpoint_is_left_well(plane, world_of, subtests, death):
    run, before, ways = (DEATHS | MORE_DEATHS)[death]
    world = world_of(plane, before)

    assert world.dies(run, ways, subtests, after=ENDPOINTS_MATTER) > 8


SERVERLESS_DEATHS = DEATHS | {
    # Only one of its effects lies between callers and the commit: no way may miss that one.
    "the first release": (good, "", (go_back_to_nothing,)),
    "the first release, begun again": (good, "", (good_again,)),
    "a bad release": (broken, "old", (reconcile, go_back, broken_again)),
    "a release that AWS refuses": (refused, "new old", (reconcile,)),
    "a release that cannot be taken back": (one_way, "old", (mend,)),
}


@pytest.mark.parametrize("death", SERVERLESS_DEATHS)
@pytest.mark.parametrize("plane", ["serverless"], indirect=True)
def test_a_serverless_endpoint_is_left_well(plane, world_of, subtests, death):
    run, before, ways = SERVERLESS_DEATHS[death]
    world = world_of(plane, before)
    world.logged(world.old, ASKED)

    assert world.dies(run, ways, subtests, after=ENDPOINTS_MATTER) > 4


def test_a_variant_that_a_dead_release_left_has_room_for_callers_who_came_since(plane, world_of):
    world = world_of(plane, "old")
    place = targets.place_of(Settings(), load("news", Settings().classifiers_dir), "sagemaker")
    step = (aws.client, place, world.new, "a dead release")
    plane.adapter.prepare(*step)
    plane.adapter.stage(*step)
    seen = updates.there(aws.client("sagemaker"), place)
    updates.grow(aws.client("sagemaker"), place, seen, f"v{world.old.version}", 3)

    good(world)

    seen = updates.there(aws.client("sagemaker"), place)
    assert updates.instances(seen) == {f"v{world.new.version}": 3}
