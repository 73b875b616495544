"""What is served follows its source: a file, or an alias in a real registry with bundles on S3."""

import asyncio
import json

import boto3
import pytest
from mlflow import MlflowClient

from serving.errors import CannotStart
from serving.follow import Following, following
from serving.plan import NoPlan, Plan, PlanFile
from serving.settings import ServingSettings
from serving.versions import Versions
from training import bundle

DEAD = "http://127.0.0.1:9"


class Script:
    """A source that says these things one after the other, then the last one for ever."""

    interval_s = 0.001

    def __init__(self, *said: Plan | None) -> None:
        self.said = list(said)

    async def read(self) -> Plan:
        plan = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        if plan is None:
            raise NoPlan("the registry cannot be asked")
        return plan


def follow(rig, *said: Plan | None, looks: int = 0, kept=None) -> Following:
    """Start, then look so often."""

    async def run() -> Following:
        followed = Following(Script(*said), rig.versions, kept)
        await followed.start()
        for _ in range(looks):
            await followed.look()
        return followed

    return asyncio.run(run())


def test_a_new_plan_is_applied_and_the_same_one_is_not_applied_again(rig):
    followed = follow(rig, rig.plan(v1=1), rig.plan(v1=1), rig.plan(v2=1), looks=4)

    assert rig.names == ["v2"]
    assert rig.pool("v2").said == ["start"]
    assert followed.failures == 0


def test_a_source_that_is_away_changes_nothing_and_is_counted(rig):
    followed = follow(rig, rig.plan(v1=1), None, looks=3)

    assert rig.pool("v1").said == ["start"]
    assert (followed.failures, followed.refused) == (3, "the registry cannot be asked")


def test_a_bad_bundle_changes_nothing_and_is_not_tried_again_at_once(rig):
    followed = follow(rig, rig.plan(v1=1), rig.plan(broken=1), looks=5)

    assert rig.names == ["v1"]
    assert [pool.folder.name for pool in rig.pools] == ["v1", "broken"]
    assert (followed.failures, followed.refused) == (1, "broken: truncated or altered")


def test_after_a_bad_plan_the_old_one_is_no_change_and_a_good_one_is_applied(rig):
    said = [rig.plan(v1=1), rig.plan(broken=1), rig.plan(v1=1), rig.plan(v2=1)]

    followed = follow(rig, *said, looks=3)

    assert rig.names == ["v2"]
    assert followed.refused == ""


def test_a_first_plan_that_cannot_be_served_ends_the_start_with_the_reason(rig):
    with pytest.raises(CannotStart, match="broken: truncated or altered"):
        follow(rig, rig.plan(broken=1))
    with pytest.raises(CannotStart, match="the registry cannot be asked"):
        follow(rig, None)


def test_a_start_without_the_registry_goes_on_with_what_was_last_served(rig, tmp_path):
    kept = tmp_path / "kept.json"
    follow(rig, rig.plan(v1=1), rig.plan(v2=1), looks=1, kept=kept)
    asyncio.run(rig.versions.apply(rig.plan(v1=1)))

    followed = follow(rig, None, kept=kept)

    assert rig.names == ["v2"]
    assert followed.failures == 1


def test_a_plan_file_is_followed_while_it_runs(rig, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(rig.plan(v1=1).model_dump_json())
    source = PlanFile(file)
    source.interval_s = 0.01

    async def run() -> None:
        followed = Following(source, rig.versions)
        await followed.start()
        task = asyncio.create_task(followed.run())
        file.write_text(rig.plan(v2=1).model_dump_json())
        async with asyncio.timeout(30):
            while rig.names != ["v2"]:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())


class Released:
    """A model in the registry whose versions are archives on S3."""

    def __init__(self, registry: str, s3) -> None:
        self.client = MlflowClient(registry, registry)
        self.s3 = s3
        self.client.create_registered_model("followed")
        s3.create_bucket(Bucket="followed")

    def release(self, archive, digest: str) -> None:
        """The newest version is the champion."""
        key = f"{digest[:8]}/output/model.tar.gz"
        self.s3.upload_file(str(archive), "followed", key)
        version = self.client.create_model_version(
            "followed", f"s3://followed/{key}", tags={"bundle_digest": digest}
        )
        self.client.set_registered_model_alias("followed", "champion", version.version)


def test_the_champion_is_followed_through_the_registry_and_s3(
    mlflow_server, sandbox, tiny_model_tar, tmp_path, rig
):
    released = Released(mlflow_server, boto3.client("s3"))
    archives = [tiny_model_tar(seed=seed) for seed in (1, 2)]
    digests = [bundle.unpack(one, tmp_path / one.parent.name).digest for one in archives]
    settings = ServingSettings(
        model_name="followed",
        follow_alias="champion",
        mlflow_tracking_uri=mlflow_server,
        model_cache_dir=tmp_path / "cache",
    )
    rig.settings = settings
    versions = Versions(settings, make_pool=rig._make)

    def served() -> list[tuple[str, str]]:
        return [(one.name, one.digest) for one in versions]

    async def run() -> None:
        followed = following(settings, versions)
        released.release(archives[0], digests[0])
        await followed.start()
        assert served() == [("1", digests[0])]
        released.release(archives[1], digests[1])
        await followed.look()
        assert served() == [("2", digests[1])]
        released.release(archives[0], "0" * 64)
        await followed.look()
        assert served() == [("2", digests[1])]
        assert "not 000000000000... as planned" in followed.refused

    async def restart() -> None:
        away = settings.model_copy(update={"mlflow_tracking_uri": DEAD})
        followed = following(away, versions)
        await followed.start()
        assert followed.failures == 1

    asyncio.run(run())
    asyncio.run(restart())

    assert served() == [("2", digests[1])]
    kept = {entry.name for entry in (tmp_path / "cache").iterdir()}
    assert kept == {*digests, "followed-champion.json"}
    plan = json.loads((tmp_path / "cache" / "followed-champion.json").read_text())
    assert [one["version"] for one in plan["versions"]] == ["2"]
