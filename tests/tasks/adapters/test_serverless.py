"""The serverless target on endpoints that serve: every step twice, and the way back from each."""

import io
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from botocore.exceptions import ClientError

from tasks.adapters import aws, serverless, updates, waits
from tasks.errors import DeployFailed, OldSideDown
from tasks.records import Place, Served

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/version:1"
# Says which version it was started as, which is all that a release asks of an answer.
VERSION = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    def log_message(self, *_): ...
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"model_version": os.environ["MODEL_VERSION"]}).encode())
    do_GET = do_POST = answer
place = "127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(place, Handler).serve_forever()
"""
HELLO = {"text": "hello"}
CLIENT = cache(aws.client)  # a new client takes a tenth of a second


@pytest.fixture(scope="module")
def served(sandbox):
    """Gives a version that can be served; its image starts at once."""
    folder = sandbox.state / "images"
    folder.mkdir(exist_ok=True)
    (folder / "version.py").write_text(VERSION)
    (folder / "version.Dockerfile").write_text(
        f'FROM scratch\nENTRYPOINT ["{sys.executable}", "-S", "{folder / "version.py"}"]\n'
    )
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w:gz").close()
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="versions")
    s3.put_object(Bucket="versions", Key="model.tar.gz", Body=empty.getvalue())
    return lambda number: Served(
        number, "s3://versions/model.tar.gz", f"{number}" * 64, "serverless"
    )


@pytest.fixture
def place(request, monkeypatch):
    """A place that no other test uses, and no long waits for it."""
    monkeypatch.setattr(waits, "_FIRST_S", 0.1)
    name = f"p{abs(hash(request.node.name)) % 10**6}"
    return Place(
        *(name, "news-topic", "serverless", "perennial", "light", IMAGE),
        *("arn:aws:iam::123456789012:role/light", "", "topic", "", "", "", 20_000, "bucket"),
    )


def released(place, wanted, op_id):
    step = (CLIENT, place, wanted, op_id)
    serverless.prepare(*step)
    serverless.stage(*step)
    serverless.shift(*step, 100)
    serverless.prove(CLIENT, place, wanted, HELLO)
    serverless.retire(*step)


def endpoints_of(place):
    there = (updates.seen(CLIENT("sagemaker"), one) for one in (place, beside(place)))
    return [one and one["EndpointStatus"] for one in there]


def beside(place):
    return serverless._beside(place)


def answering(place):
    return serverless.ask(CLIENT, place, HELLO).version


def test_every_step_may_be_repeated_and_undone_from_wherever_it_stopped(place, served):
    one, two = served("1"), served("2")
    released(place, one, "first")
    step = (CLIENT, place, two, "second")
    steps = (
        lambda: serverless.prepare(*step),
        lambda: serverless.stage(*step),
        lambda: serverless.shift(*step, 100),
    )

    for stopped in range(1, len(steps) + 1):
        for take in steps[:stopped]:
            assert take() == take()
        moved = stopped == len(steps)
        assert answering(place) == ("2" if moved else "1")
        told = serverless.restore(*step)
        assert told == serverless.restore(*step) or moved
        assert answering(place) == "1"
        assert endpoints_of(place) == ["InService", None]

    assert serverless.warm(*step)
    serverless.shift(*step, 100)  # as a rollback does: what served once needs no trial
    serverless.prove(CLIENT, place, two, HELLO)
    assert serverless.restore(CLIENT, place, two, "another").startswith("callers were not")
    assert answering(place) == "2"


def test_the_first_release_can_be_undone_and_a_part_of_the_callers_cannot_be_moved(place, served):
    step = (CLIENT, place, served("1"), "first")
    assert serverless.restore(*step) == "nothing was changed"
    assert not serverless.warm(*step)
    assert serverless.ask(CLIENT, place, HELLO).status == 0
    assert serverless.look(CLIENT, place, 5).status == 0
    assert not serverless.healthy(*step, "old")

    serverless.prepare(*step)
    serverless.stage(*step)
    assert serverless.healthy(*step, "new")
    with pytest.raises(DeployFailed, match="10 % of the callers"):
        serverless.shift(*step, 10)
    serverless.shift(*step, 100)
    assert endpoints_of(place) == ["InService", "InService"]

    assert serverless.restore(*step) == "the new endpoint is gone"
    assert endpoints_of(place) == [None, None]


def test_where_the_old_version_cannot_come_back_callers_stay_with_the_new_one(
    place, served, sandbox
):
    one, two = served("1"), served("2")
    released(place, one, "first")
    step = (CLIENT, place, two, "second")
    serverless.prepare(*step)
    serverless.shift(*step, 100)
    sandbox.fault(kind="capacity-error", name=place.endpoint)

    with pytest.raises(OldSideDown, match=r"callers stay with version 2: .*AWS rolled it back"):
        serverless.restore(*step)
    assert answering(place) == "2"

    assert serverless.restore(*step).startswith("callers are back on config")
    assert answering(place) == "1"


class Busy:
    """Stand in for an endpoint that always answers somebody else; counts who asks at a time."""

    def __init__(self):
        self.now, self.seen = 0, []

    def describe_endpoint(self, EndpointName):  # noqa: N803
        one = {"VariantName": "v1", "CurrentWeight": 1.0}
        found = {"EndpointConfigName": "config", "ProductionVariants": [one]}
        return {"EndpointStatus": "InService", **found}

    def invoke_endpoint(self, **asked):
        self.now += 1
        self.seen.append(self.now)
        time.sleep(0.01)  # gives the other threads their chance
        self.now -= 1
        refused = {"Code": "ThrottlingException", "Message": ""}
        raise ClientError({"Error": refused}, "InvokeEndpoint")


def test_a_busy_endpoint_is_well_and_our_own_requests_wait_for_each_other(place):
    busy = Busy()
    step = (lambda _: busy, place, Served("1", "s3://versions/1", "1" * 64, "serverless"), "op")

    looked = serverless.look(step[0], place, 5)

    assert (looked.status, looked.body) == (200, f"{place.endpoint} is busy")
    assert serverless.ask(step[0], place, HELLO).status == 429
    assert serverless.healthy(*step, "new")
    busy.seen.clear()
    with serverless.session(*step, "new") as session, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(session.ask, HELLO) for _ in range(8)]
    assert {type(one.exception()) for one in asked} == {ClientError}
    assert busy.seen == [1] * 8
