"""Where a classifier can be served, and what every such target can do."""

from typing import Any, Protocol

from tasks.adapters import endpoints, fleet
from tasks.classifiers import Classifier
from tasks.records import Answer, Place, Served
from tasks.settings import Settings


class Clients(Protocol):
    """Makes the client of an AWS service."""

    def __call__(self, service: str) -> Any: ...


class Target(Protocol):
    """What a place to serve can do. Every step may be repeated with the effect of one."""

    def prepare(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def stage(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def ask_staged(
        self, client: Clients, place: Place, wanted: Served, op_id: str, payload: dict[str, str]
    ) -> Answer: ...
    def switch(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def prove(
        self, client: Clients, place: Place, wanted: Served, payload: dict[str, str]
    ) -> str: ...
    def ask(self, client: Clients, place: Place, payload: dict[str, str]) -> Answer: ...
    def restore(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def retire(self, client: Clients, place: Place, wanted: Served, op_id: str) -> str: ...
    def address(self, client: Clients, place: Place) -> str: ...


TARGETS: dict[str, Target] = {"ec2": fleet, "sagemaker": endpoints}


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
    )
