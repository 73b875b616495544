"""The step of a rollout that waits and looks, shown in Prefect while it does."""

import time
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from tasks.pictures import base
from tasks.pictures import rollout as pictures
from tasks.policy import rollout_page
from tasks.policy.watch import Look
from tasks.records import Place, Release, Served
from tasks.smoke import GoldenTexts
from tasks.strategy import Rollout, Step
from tasks.watching import Watch, follow


@task(cache_policy=NO_CACHE)
def let_minute_end(plan: Rollout) -> None:
    """CloudWatch counts whole minutes: callers come in another one than the smoke test's."""
    if any(step.minutes >= 1 for step in plan.watched):
        time.sleep(60 - time.time() % 60)


@task(cache_policy=NO_CACHE, task_run_name="watch version {wanted.version} at {step.percent} %")
def observe(
    place: Place,
    release: Release,
    wanted: Served,
    step: Step,
    plan: Rollout,
    texts: GoldenTexts,
    before: tuple[Look, ...] = (),
) -> tuple[Release, tuple[Look, ...]]:
    """Look until the step may end; GateFailed when the version must go back or nobody can say.

    Gives the journal as it stands and every look so far, `before` ones included. Each look renews
    the lease in the journal: Conflict when another run took the release over.
    """
    watch = Watch(place, release, wanted, step, plan, texts, list(before))
    shown = create_progress_artifact(
        progress=0, key=f"rollout-progress-{place.classifier}", description="the first look"
    )
    assert isinstance(shown, UUID)  # a coroutine only where an event loop runs

    def tell(look: Look) -> None:
        done = 100 * min(1.0, watch.seen.minutes / step.minutes)
        update_progress_artifact(shown, progress=done, description=rollout_page.headline(look))

    try:
        follow(watch, tell)
    finally:
        _publish(watch)
    return watch.release, tuple(watch.looks)


def _publish(watch: Watch) -> None:
    """The page of the rollout so far."""
    if not watch.looks:
        return
    drawn = pictures.sides(watch.looks, watch.plan.max_error_rate, watch.plan.max_p99_ms)
    shown = (base.shown("both versions over the minutes", drawn),)
    name, version = watch.place.classifier, watch.wanted.version
    create_markdown_artifact(
        key=f"rollout-{name}",
        markdown=rollout_page.page(name, version, watch.looks, shown),
        description=rollout_page.headline(watch.looks[-1]),
    )
