"""Two runs at one journal: who took the release over has it, and the other one learns that."""

from dataclasses import fields

import pytest

from tasks import releases
from tasks.adapters import aws
from tasks.errors import Conflict
from tasks.records import Place, Served

NEW = Served("2", "s3://models/2", "b" * 64, "ec2")
SECOND = "flow run 2 attempt 1"


@pytest.fixture
def place(sandbox, request):
    bucket = "lease-models"
    aws.client("s3").create_bucket(Bucket=bucket)
    told = dict.fromkeys((field.name for field in fields(Place)), "")
    return Place(**{**told, "models_bucket": bucket, "environment": request.node.name[:60]})


@pytest.fixture
def held(place):
    """A release that the first run moves traffic for."""
    claim = releases.claim_release.fn(place, NEW, "flow run 1 attempt 1")
    return releases.begin_switch.fn(place, claim)


def test_a_run_that_renews_its_lease_keeps_the_release(place, held):
    renewed = releases.renew_release.fn(place, held, 30)

    assert renewed.until > held.until
    assert releases.take_if_unchanged(place, held, SECOND) is None
    assert releases.commit_release.fn(place, renewed).champion == NEW


@pytest.mark.parametrize("step", ["renew_release", "begin_switch", "commit_release"])
def test_a_run_that_was_overtaken_learns_it_at_its_next_write(place, held, step):
    taken = releases.take_if_unchanged(place, held, SECOND)
    minutes = (30,) if step == "renew_release" else ()

    with pytest.raises(Conflict, match="came too late"):
        getattr(releases, step).fn(place, held, *minutes)

    assert releases.read_release.fn(place) == taken
    assert (taken.holder, taken.op_id, taken.state) == (SECOND, held.op_id, "SWITCHING")


def test_of_two_that_take_over_one_does(place, held):
    taken = [releases.take_if_unchanged(place, held, f"flow run {n} attempt 1") for n in (2, 3)]

    assert taken[0] == releases.read_release.fn(place)
    assert taken[1] is None
