import queue
import time

import pytest
from litserve.loops.base import _StopLoopError

from serving.endpoint import read_manifest
from serving.settings import ServingSettings
from serving.worker import ClassifyAPI
from training.bundle import BundleError, Classifier


@pytest.fixture(scope="module")
def api(served):
    settings = ServingSettings(model_path=served, batch_size=3, request_timeout_s=5)
    api = ClassifyAPI(settings, read_manifest(served)[1])
    api.request_timeout = 5
    api._load("cpu")
    return api


def test_a_batch_of_requests_comes_back_request_by_request(api, served):
    one, two = ["the team won"], ["stock market", "space science"]

    answers = api.predict([api.decode_request(one), api.decode_request(two)])

    alone = Classifier.load(served).predict(two)
    assert [len(answer) for answer in answers] == [1, 2]
    assert [answer.label for answer in answers[1]] == [answer.label for answer in alone]


def test_what_crosses_to_the_http_process_is_plain_values(api):
    (encoded,) = api.encode_response(api.predict([["oil price"]])[0])

    assert [type(value) for value in encoded] == [str, float, tuple, bool]


def test_a_bundle_exchanged_while_starting_is_refused(served):
    api = ClassifyAPI(ServingSettings(model_path=served), digest="0" * 64)

    with pytest.raises(BundleError, match="bundle changed while starting"):
        api._load("cpu")


def request(number: int, age_s: float = 0) -> tuple[int, str, float, list[str]]:
    return (0, f"id-{number}", time.monotonic() - age_s, ["a"])


def test_a_lone_request_is_taken_at_once(api):
    waiting = queue.Queue()
    waiting.put(request(1))
    began = time.monotonic()

    alive, expired = api.loop.get_batch_requests(api, waiting, None)

    assert alive == [(0, "id-1", ["a"])]
    assert expired == []
    assert time.monotonic() - began < 0.05


def test_what_waits_is_taken_together_up_to_the_batch_size(api):
    waiting = queue.Queue()
    for number in range(5):
        waiting.put(request(number))

    alive, _ = api.loop.get_batch_requests(api, waiting, None)

    assert [uid for _, uid, _ in alive] == ["id-0", "id-1", "id-2"]
    assert waiting.qsize() == 2


def test_a_request_that_nobody_waits_for_any_more_is_not_computed(api):
    waiting = queue.Queue()
    waiting.put(request(1, age_s=60))
    waiting.put(request(2))

    alive, expired = api.loop.get_batch_requests(api, waiting, None)

    assert [uid for _, uid, _ in alive] == ["id-2"]
    assert expired == [(0, "id-1")]


def test_litserves_stop_message_ends_the_loop(api):
    waiting = queue.Queue()
    waiting.put((None, None, None, None))

    with pytest.raises(_StopLoopError):
        api.loop.get_batch_requests(api, waiting, None)
