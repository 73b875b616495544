"""Where a classifier can be served, and what every such target can do."""

from datetime import datetime
from typing import Any, Literal, Protocol, Self

from tasks.adapters import endpoints, fleet, serverless
from tasks.classifiers import Classifier
from tasks.records import Answer, Arm, Place, Served, Usage
from tasks.settings import Settings
from training import capture


class Clients(Protocol):
    """Makes the client of an AWS service."""

    def __call__(self, service: str) -> Any: ...


Side = Literal["new", "old"]


class Session(Protocol):
    """One side, asked many times, by several threads; close it with the block.

    usage: what the process takes, CPU since it was last asked; None where that is not told.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def ask(self, payload: dict[str, str]) -> Answer: ...
    def usage(self) -> Usage | None: ...


class Target(Protocol):
    """What a place to serve can do. Every step may be repeated with the effect of one.

    The new side runs `wanted`, started by the operation `op_id`; the old one served before.

    prepare: what the version will run in is there; what serves is not touched.
    stage: the new side runs the version, is warm and gets no callers yet.
    warm: whether the new side runs exactly it already, so that `stage` starts nothing.
    shift: `percent` of the callers (0-100) to the new side, the rest to the old one.
    traffic: (new, old) over the same whole minutes; old is None when nothing served before.
    session: one side alone, for many requests; status 0 when nobody is there.
    healthy: whether that side can take callers.
    scale_out: one more instance for the new side, once; None where that cannot be.
    prove: callers reach exactly this version and bundle, or DeployFailed.
    ask: as callers do; status 0 when nobody is there.
    look: how it is for callers now, soon; status 200 when well, 0 when nobody is there.
    restore: all callers to the old side. OldSideDown when it is down and the new one answers
        callers: these are all on the new one then.
    retire: after the commit, only what is still needed keeps running.
    """

    def prepare(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def stage(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def warm(self, client: Clients, place: Place, wanted: Served, op_id: str) -> bool: ...
    def shift(
        self, client: Clients, place: Place, wanted: Served, op_id: str, percent: int
    ) -> str: ...
    def traffic(
        self,
        client: Clients,
        place: Place,
        wanted: Served,
        op_id: str,
        since: datetime,
        until: datetime,
        slow_s: float,
    ) -> tuple[Arm, Arm | None]: ...
    def session(
        self, client: Clients, place: Place, wanted: Served, op_id: str, side: Side
    ) -> Session: ...
    def healthy(
        self, client: Clients, place: Place, wanted: Served, op_id: str, side: Side
    ) -> bool: ...
    def scale_out(
        self, client: Clients, place: Place, wanted: Served, op_id: str
    ) -> str | None: ...
    def prove(
        self, client: Clients, place: Place, wanted: Served, payload: dict[str, str]
    ) -> str: ...
    def ask(self, client: Clients, place: Place, payload: dict[str, str]) -> Answer: ...
    def look(self, client: Clients, place: Place, timeout_s: float) -> Answer: ...
    def restore(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def retire(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def address(self, client: Clients, place: Place) -> str: ...


TARGETS: dict[str, Target] = {"ec2": fleet, "sagemaker": endpoints, "serverless": serverless}
# Their callers move all at once, and a version that nobody asks takes nothing: it need not run.
UNDIVIDED = frozenset({"serverless"})


def place_of(settings: Settings, chosen: Classifier, target: str | None) -> Place:
    """Where this classifier goes in this environment."""
    return Place(
        classifier=chosen.name,
        task=chosen.task,
        target=target or chosen.serving.target,
        project=settings.project,
        environment=settings.environment,
        image=settings.serving_image,
        role_arn=settings.execution_role_arn,
        instance_profile=settings.instance_profile,
        topic_arn=settings.alert_topic_arn,
        template=str(settings.templates_dir / "ec2-serving.yaml"),
        vpc_id=settings.vpc_id,
        instance_type=chosen.serving.instance_type,
        max_chars=chosen.serving.max_chars,
        models_bucket=settings.models_bucket,
        capture_uri=_capture_uri(settings, chosen),
        capture_percent=chosen.capture.percent,
        capture_text=chosen.capture.text,
        capture_seconds=chosen.capture.seconds,
        memory_mb=chosen.serving.serverless_memory_mb,
        max_concurrency=chosen.serving.serverless_max_concurrency,
    )


def _capture_uri(settings: Settings, chosen: Classifier) -> str:
    if not chosen.capture.percent:
        return ""
    return f"s3://{settings.data_bucket}/{capture.prefix('prediction', chosen.name)}"
