"""Two that want one release at the same instant: one of them gets it, every time."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from threading import Barrier

import pytest

from tasks.adapters import aws, journal
from tasks.errors import Conflict
from tasks.policy import releases
from tasks.records import Served

RACES = 100  # of each kind
BUCKET = "perennial-models-test"
NUMBERS = count(1)


def version():
    name = str(next(NUMBERS))
    return Served(name, f"s3://b/{name}", name * 8, "ec2")


@pytest.fixture
def key():
    return f"releases/races-{next(NUMBERS)}/news/journal.json"


@pytest.fixture
def write(settings_env, key):
    return partial(journal.write, aws.client("s3"), BUCKET, key)


@pytest.fixture
def race(settings_env, key):
    """The journal after two acts that began at the same instant: what the only winner wrote."""
    s3, start = aws.client("s3"), Barrier(2)

    def begin(act):
        start.wait(60)
        try:
            return act()
        except Conflict:
            return None

    def ended(*acts):
        (won,) = [one for one in pool.map(begin, acts) if one is not None]
        assert journal.read(s3, BUCKET, key) == won
        return won

    with ThreadPoolExecutor(2) as pool:
        yield ended


def test_of_two_deploys_one_makes_the_champion(write, race):
    def deploy(before, wanted, holder):
        claim = write(releases.claimed(before, "news", "races", wanted, holder))
        return write(releases.committed(write(releases.switching(claim))))

    release = None
    for _ in range(RACES):
        before, both = release, {"one": version(), "other": version()}
        release = race(*(partial(deploy, before, both[holder], holder) for holder in both))
        assert release.champion == both[release.holder]
        assert release.previous == (before.champion if before else None)
        assert release.generation == (before.generation if before else 0) + 3


def test_a_holder_that_wakes_past_its_lease_commits_or_finds_its_release_taken_back(write, race):
    def commit(held):
        return write(releases.committed(held))

    def take_back(held):
        return write(releases.rolled_back(write(releases.taken_over(held, "reconcile")), "late"))

    release = None
    for _ in range(RACES):
        champion, wanted = release.champion if release else None, version()
        claim = write(releases.claimed(release, "news", "races", wanted, "the sleeper"))
        held = write(releases.switching(claim))
        release = race(partial(commit, held), partial(take_back, held))
        late = release.holder == "reconcile"
        assert (release.state, release.champion) == (
            ("ROLLED_BACK", champion) if late else ("LIVE", wanted)
        )
        with pytest.raises(Conflict, match="came too late"):
            commit(held) if late else take_back(held)
