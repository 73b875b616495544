import socket
import threading
from contextlib import suppress

import pytest
from litserve.callbacks import CallbackRunner

from serving.channel import Answers, ModelEnd, Unanswered, Work, framed
from serving.model_process import Spec
from serving.versions import read_manifest
from serving.worker import BatchLoop, ClassifyAPI
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


def answered(api, *work: Work) -> list[Answers | Unanswered]:
    """What the loop of a model process says of batches that all wait already."""
    ours, theirs = socket.socketpair()
    end, said, all_said = ModelEnd(theirs), [], threading.Event()

    def send(item, consumer_id) -> None:
        said.append(item)
        if len(said) == len(work):
            all_said.set()

    end.send = send

    def loop() -> None:
        with suppress(SystemExit):
            BatchLoop()(api, "cpu", 0, end, end, {}, CallbackRunner())

    with ours, theirs:
        process = threading.Thread(target=loop)
        process.start()
        ours.sendall(b"".join(map(framed, work)))
        assert all_said.wait(60)
        ours.shutdown(socket.SHUT_WR)
        process.join(60)
    return said


@pytest.mark.parametrize("texts", [["a"], ["a", "b"]])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_model_that_raises_says_so_and_takes_the_next_batch(api, monkeypatch, texts, at_once):
    begin, broken = api.classifier.begin, [True, False]
    fails = (lambda _: 1 / 0) if at_once else lambda _: lambda: 1 / 0
    monkeypatch.setattr(
        api.classifier, "begin", lambda given: (fails if broken.pop(0) else begin)(given)
    )

    first, second = answered(api, Work(1, texts), Work(2, ["goal"]))

    assert first == Unanswered(1, "ZeroDivisionError")
    assert isinstance(second, Answers)
    assert second.batch == 2


def test_a_batch_is_begun_while_the_one_before_it_ends_and_answered_after_it(api, monkeypatch):
    begin, second = api.classifier.begin, threading.Event()
    ends = []

    def slow(encoded):
        end = begin(encoded)
        if not ends:
            ends.append(None)
            return lambda: second.wait(60) and end()
        second.set()
        return end

    monkeypatch.setattr(api.classifier, "begin", slow)
    sizes = {1: 3, 2: 40, 3: 1, 4: 2}

    said = answered(api, *(Work(n, [f"goal {i}" for i in range(k)]) for n, k in sizes.items()))

    assert second.is_set()
    assert [(one.batch, len(one.truncated)) for one in said] == list(sizes.items())


def test_the_process_ends_when_the_front_is_gone():
    ours, theirs = socket.socketpair()
    threading.Timer(0.1, ours.close).start()

    with theirs, pytest.raises(SystemExit) as ended:
        ModelEnd(theirs).get()

    assert ended.value.code == 0
