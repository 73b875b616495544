"""A container's words reach CloudWatch Logs, however soon it says them."""

from moto.logs.models import logs_backends

from infra.sandbox import logstreams
from infra.sandbox.world import ACCOUNT, REGION, Process, World

GROUP = "/aws/sagemaker/ProcessingJobs"


def ended(world: World, words: str) -> Process:
    process = world.spawn("said", ["echo", words], {}, world.state, world.state / "log")
    process.wait(60)
    return process


def test_words_said_before_anyone_followed_are_there_and_no_others(tmp_path):
    world = World(tmp_path)
    ended(world, "the last attempt's words")

    logstreams.follow(ended(world, "no such label"), GROUP, "soon/algo-1").join(60)

    stream = logs_backends[ACCOUNT][REGION].groups[GROUP].streams["soon/algo-1"]
    assert [event.message for event in stream.events] == ["no such label"]
