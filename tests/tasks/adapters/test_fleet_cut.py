"""A step on EC2 is cut right after each of its effects; whoever comes next ends it well."""

import json
from contextlib import contextmanager

import pytest
from plugins.cut_fleet import BUCKET, NUMBERS, SERVER, World, client, release_of
from plugins.sudden_death import Killed

from deployments.callers import Callers
from tasks.adapters import aws, waits

EVERY_WAY = False  # by hand: twice the time
GOOD = ("prepare", "stage", "scale_out", "shift 10", "shift 50", "shift 100", "retire")
BAD = ("prepare", "stage", "shift 10", "restore")
RETURN = ("stage", "shift 100", "retire")
RECOVER = ("prepare", "recover")
STORIES = {"a release": GOOD, "a bad release": BAD, "a return": RETURN, "a recovery": RECOVER}


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Looks that come soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waits, "_FIRST_S", 0.1)
        patch.setattr(waits, "_LONGEST_S", 0.2)
        yield


@pytest.fixture(scope="module")
def image(sandbox):
    folder = sandbox.state / "images"
    folder.mkdir(exist_ok=True)
    (sandbox.state / "cut.py").write_text(SERVER, "utf-8")
    entrypoint = json.dumps(["python", "-S", str(sandbox.state / "cut.py")])
    text = f"FROM scratch\nENV HOST=0.0.0.0 PORT=8080\nENTRYPOINT {entrypoint}\n"
    (folder / "cut.Dockerfile").write_text(text, "utf-8")
    aws.client("s3").create_bucket(Bucket=BUCKET)
    aws.client("iam").create_instance_profile(InstanceProfileName="cut-test")
    Callers(aws.client("secretsmanager"), "perennial-cut", {}).ensure()
    return "123456789012.dkr.ecr.us-east-1.amazonaws.com/cut:test"


@pytest.fixture
def world_of_its_own(image, tmp_path):
    """`with world_of_its_own() as world:`, which is gone afterwards."""

    @contextmanager
    def make():
        world = World(image, tmp_path / str(next(NUMBERS)))
        try:
            yield world
        finally:
            client("cloudformation").delete_stack(StackName=world.stack)

    return make


@pytest.fixture
def world(world_of_its_own, callers):
    """Callers ask all the time."""
    with world_of_its_own() as made, callers(made.called, pause_s=0.2) as heard:
        yield made
    assert heard.failures == []
    assert len(heard.answers) > 10


def go(world, story, release):
    """How many effects each step had."""
    told = {step: world.step(step, release) for step in story}
    if {"restore", "recover"} & set(story):
        world.back()
    else:
        world.committed(release)
    return told


def again(world, story, release):
    """The same step once more, and on with the story."""
    go(world, story, release)
    return release


def another(world, _, release):
    """It is put back, and another version is released."""
    world.step("restore", release)
    world.back()
    following = release_of()
    go(world, GOOD, following)
    assert world.sent(following) == 1
    return following


def former(world, _, release):
    """It is put back, and what served before is called back."""
    world.step("restore", release)
    world.back()
    following = release_of(world.former)
    go(world, RETURN, following)
    return following


def chosen(told, ways):
    """After each effect one way in turn; every way where a command may run on by itself."""
    points = [(step, number + 1) for step, effects in told.items() for number in range(effects)]
    for number, (step, effect) in enumerate(points):
        every = EVERY_WAY or step == "stage"
        for way in ways if every else (ways[number % len(ways)],):
            yield step, effect, way


def seen(world, release, champion, former):
    """The state by the parts that versions play."""
    parts = {former and former.version: "former", champion and champion.version: "old"}
    parts[release.version] = "new"
    told = world.state()
    for key in ("answer", "marked"):
        told[key] = [parts.get(version, version) for version in told[key]]
    return told


def ended(world, story, release, step, number, way):
    """The state after that step was cut right after that effect and somebody came that way."""
    before, at = (world.champion, world.former), story.index(step)
    for earlier in story[:at]:
        world.step(earlier, release)
    if step == "stage" and way is not again:
        world.hold(release)
    with pytest.raises(Killed):
        world.step(step, release, dies_after=number)
    following = way(world, story[at:], release)
    assert world.sent(release) <= 1
    return seen(world, following, *before)


@pytest.mark.parametrize("story", STORIES)
def test_a_step_that_was_cut_is_ended_well(world, subtests, story):
    steps = STORIES[story]
    go(world, GOOD, release_of())
    shapes = {}
    for told in (GOOD, steps):
        release = release_of(world.former if told == RETURN else None)
        before = world.champion, world.former
        effects = go(world, told, release)
        shapes[told] = seen(world, release, *before)
        assert world.sent(release) == ("stage" in told and told != RETURN)

    ways = (again, another) if steps == RETURN else (again, another, former)
    for step, effect, way in chosen(effects, ways):
        if steps in (BAD, RECOVER) and step != steps[-1]:
            continue  # as in a release
        release = release_of(world.former if steps == RETURN else None)
        with subtests.test(f"{step}, effect {effect}, then {way.__name__}"):
            expected = shapes[steps if way is again else GOOD]
            assert ended(world, steps, release, step, effect, way) == expected


def test_the_first_release_that_was_cut_is_ended_well(world_of_its_own, subtests):
    with world_of_its_own() as whole:
        release = release_of()
        effects = go(whole, GOOD, release)
        expected = seen(whole, release, None, None)

    for step, effect, way in chosen(effects, (again, another)):
        with (
            subtests.test(f"{step}, effect {effect}, then {way.__name__}"),
            world_of_its_own() as world,
        ):
            found = ended(world, GOOD, release_of(), step, effect, way)
            assert found == expected
