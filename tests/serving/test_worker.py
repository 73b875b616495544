import socket
import threading

import pytest
from litserve.callbacks import CallbackRunner

from serving.channel import Answers, ModelEnd, Unanswered, Work, framed
from serving.model_process import Spec
from serving.versions import read_manifest
from serving.worker import ClassifyAPI
from training.bundle import BundleError, Classifier


def spec(folder, digest: str) -> Spec:
    return Spec(str(folder), digest, device="cpu", threads=1, log_level="INFO")


@pytest.fixture(scope="module")
def api(served):
    api = ClassifyAPI()
    api.load("cpu", spec(served, read_manifest(served)[1]))
    return api


def hooks(api, texts: list[str]) -> Answers:
    return api.encode_response(api.predict(api.decode_request(Work(7, texts))))


def test_the_answers_are_those_of_the_classifier_that_was_evaluated(api, served):
    texts = ["the team won", "stock market " * 40, "oil"]

    answers = hooks(api, texts)

    wanted = Classifier.load(served).predict(texts)
    rows = memoryview(answers.probabilities).cast("d").tolist()
    assert answers.batch == 7
    assert [tuple(rows[n * 4 : n * 4 + 4]) for n in range(3)] == [
        one.probabilities for one in wanted
    ]
    assert list(answers.truncated) == [one.truncated for one in wanted] == [False, True, False]


def test_a_bundle_exchanged_while_starting_is_refused(served):
    with pytest.raises(BundleError, match="bundle changed while starting"):
        ClassifyAPI().load("cpu", spec(served, "0" * 64))


def test_a_model_that_raises_says_so_and_takes_the_next_batch(api, monkeypatch):
    ours, theirs = socket.socketpair()
    end = ModelEnd(theirs)
    said = []
    monkeypatch.setattr(end, "send", lambda item, consumer_id: said.append(item))
    with ours, theirs:
        ours.sendall(framed(Work(1, ["a"])) + framed(Work(2, ["goal"])))
        for broken in (True, False):
            with monkeypatch.context() as only_now:
                if broken:
                    only_now.setattr(api.classifier, "probabilities", lambda _: 1 / 0)
                api.loop.run(api, "cpu", 0, end, end, {}, CallbackRunner())

    assert said[0] == Unanswered(1, "ZeroDivisionError")
    assert isinstance(said[1], Answers)
    assert said[1].batch == 2


def test_the_process_ends_when_the_front_is_gone():
    ours, theirs = socket.socketpair()
    threading.Timer(0.1, ours.close).start()

    with theirs, pytest.raises(SystemExit) as ended:
        ModelEnd(theirs).get()

    assert ended.value.code == 0
