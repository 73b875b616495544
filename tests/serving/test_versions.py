"""Which version answers, and how versions change; model processes are in test_swap.py."""

import asyncio
from collections import Counter

import pytest

from serving.contract import Refusal
from serving.errors import CannotStart
from serving.plan import Plan

KEYS = [f"user-{number}" for number in range(2000)]


def test_a_request_that_names_a_version_gets_it(rig):
    rig.apply(v1=1, v2=0)

    assert rig.versions.choose("v2", None).name == "v2"


def test_a_version_that_is_not_there_is_refused_with_those_that_are(rig):
    rig.apply(v1=1, v2=1)

    with pytest.raises(Refusal, match="serves model version v1, v2 only") as refused:
        rig.versions.choose("v3", "key")

    assert (refused.value.status, refused.value.error) == (404, "model_version_not_found")


def test_before_the_first_version_is_warm_nothing_is_chosen(rig):
    for wanted in ("v1", None):
        with pytest.raises(Refusal) as refused:
            rig.versions.choose(wanted, None)
        assert (refused.value.status, refused.value.error) == (503, "starting")


def test_without_a_key_requests_fall_by_weight(rig):
    rig.apply(v1=3, v2=1, v3=0)

    seen = Counter(rig.versions.choose(None, None).name for _ in range(4000))

    assert set(seen) == {"v1", "v2"}
    assert 0.21 < seen["v2"] / 4000 < 0.29


def test_a_key_stays_with_its_version_and_keys_fall_by_weight(rig):
    rig.apply(v1=0.9, v2=0.1)

    first = rig.shares(KEYS)

    assert rig.shares(KEYS) == first
    assert 0.07 < list(first.values()).count("v2") / len(KEYS) < 0.13


def test_a_larger_share_takes_keys_and_gives_none_back(rig):
    before = rig.apply(v1=0.9, v2=0.1).shares(KEYS)

    after = rig.apply(v1=0.5, v2=0.5).shares(KEYS)

    assert not [key for key in KEYS if before[key] == "v2" and after[key] == "v1"]
    assert 0.44 < list(after.values()).count("v2") / len(KEYS) < 0.56
    assert len(rig.pools) == 2


def test_while_a_versions_processes_are_down_its_share_is_answered_by_the_others(rig):
    rig.apply(v1=1, v2=1).pool("v2").ready = False

    assert set(rig.shares(KEYS).values()) == {"v1"}


def test_a_version_that_leaves_answers_what_it_has_before_its_memory_is_given_back(rig):
    rig.apply(v1=1).apply(v2=1)

    assert rig.pool("v1").said == ["start", "drain", "stop"]
    assert rig.pool("v2").said == ["start"]
    assert rig.names == ["v2"]


def test_a_bundle_that_does_not_load_leaves_everything_as_it_was(rig):
    rig.apply(v1=1)
    before = list(rig.versions)

    with pytest.raises(CannotStart, match="broken: truncated or altered"):
        rig.apply(v2=1, broken=1)

    assert list(rig.versions) == before
    assert rig.pool("v1").said == ["start"]
    assert rig.pool("v2").said == ["start", "stop"]
    assert rig.pool("broken").said == ["start", "stop"]


def test_a_version_whose_bundle_became_another_is_loaded_anew(rig):
    rig.apply(v1=1)
    manifest = rig.pools[0].folder / "manifest.json"
    plan = rig.plan(v1=1)
    manifest.write_text(manifest.read_text().replace('"labels": ["a"]', '"labels": ["a", "b"]'))

    asyncio.run(rig.versions.apply(plan))

    (version,) = rig.versions
    assert version.manifest.labels == ("a", "b")
    assert [pool.said for pool in rig.pools] == [["start", "drain", "stop"], ["start"]]


def test_a_bundle_without_a_manifest_is_named(rig):
    (rig.bundle("v1") / "manifest.json").unlink()
    plan = Plan.model_validate({"versions": [{"version": "1", "path": rig.bundle("v1").parent}]})

    with pytest.raises(CannotStart, match=r"manifest\.json: No such file or directory"):
        asyncio.run(rig.versions.apply(plan))


def test_plans_are_applied_one_at_a_time_and_the_last_one_stays(rig):
    async def both() -> None:
        await asyncio.gather(rig.versions.apply(rig.plan(v1=1)), rig.versions.apply(rig.plan(v2=1)))

    asyncio.run(both())

    assert rig.names == ["v2"]
    assert rig.pool("v1").said == ["start", "drain", "stop"]


def test_an_apply_that_is_cut_short_leaves_no_process(rig):
    async def cut() -> None:
        task = asyncio.ensure_future(rig.versions.apply(rig.plan(v1=1)))
        while not rig.pools:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cut())

    assert rig.pool("v1").said == ["start", "stop"]
    assert rig.names == []
