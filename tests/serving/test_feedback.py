"""Labels that come back: taken, refused, written down before 202 is said, counted as accuracy."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugins import promtool
from plugins.pools import Rig

from serving.capture import Capture
from serving.contract import Answer, Refusal
from serving.feedback import KIND, Feedback, Recent
from serving.metrics import Metrics
from serving.settings import ServingSettings

LABELS = ("World", "Sports")
BODY = {"request_id": "abc123", "label": "World"}


def said(label: str) -> Answer:
    return Answer(label, 0.9, (0.9, 0.1), truncated=False)


class Rigged:
    """The route's handler on a spool of its own."""

    def __init__(self, folder: Path, labels=LABELS, **settings) -> None:
        given = ServingSettings(
            capture_uri="s3://bucket/data-capture/news", capture_dir=folder, **settings
        )
        self.capture = Capture(given)
        self.recent = Recent()
        self.metrics = Metrics()
        self.handler = Feedback(self.capture, lambda: None, lambda: labels, self.recent)
        self.handler.tell(self.metrics)

    def post(self, body: object, kind: bytes = b"application/json", handler=None) -> dict:
        """The answer's body with its status, or a refusal."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: list[dict] = []

        async def receive():
            return {"type": "http.request", "body": content}

        async def send(message):
            sent.append(message)

        scope = {"headers": [(b"content-type", kind)], "state": {}, "path": "/invocations"}
        asyncio.run((handler or self.handler)(scope, receive, send))
        return {"http": sent[0]["status"], "path": scope["path"], **json.loads(sent[0]["body"])}

    def refused(self, body: object) -> Refusal:
        with pytest.raises(Refusal) as told:
            self.post(body)
        return told.value

    def lines(self) -> list[dict]:
        self.capture.spool.close()
        files = sorted(self.capture.spool.folder.glob("*.feedback.jsonl"))
        return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]

    def counted(self) -> dict[tuple[str, ...], float]:
        return promtool.samples(self.metrics.text().decode(), "mlops_feedback_total")


@pytest.fixture
def rigged(tmp_path):
    return Rigged(tmp_path)


def test_a_label_is_written_down_when_it_is_accepted_and_again_is_the_same(rigged):
    first, second = rigged.post(BODY), rigged.post(BODY)

    assert first == second == {**BODY, "status": "accepted", "http": 202, "path": "/invocations"}
    rows = rigged.lines()
    assert [(row["request_id"], row["classifier"], row["label"]) for row in rows] == [
        ("abc123", "news", "World")
    ] * 2
    assert rigged.counted() == {("accepted",): 2, ("rejected",): 0, ("failed",): 0}


def test_a_label_that_is_none_of_the_models_is_refused_by_naming_those(rigged):
    refusal = rigged.refused({**BODY, "label": "Weather"})

    assert (refusal.status, refusal.message) == (422, "label must be one of World, Sports")
    assert rigged.lines() == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "not valid JSON"),
        ([BODY], 422, "must be a JSON object"),
        ({"label": "World"}, 422, "request_id: Field required"),
        ({**BODY, "label": 1}, 422, "label: Input should be a valid string"),
        ({**BODY, "text": "secret"}, 422, "Unknown field; allowed: request_id, label"),
        ({**BODY, "request_id": ""}, 422, "request_id: String should match pattern"),
        ({**BODY, "request_id": "secret\n"}, 422, "request_id: String should match pattern"),
        ({**BODY, "request_id": "x" * 134}, 422, "request_id: String should match pattern"),
        ({**BODY, "request_id": "x" * 5000}, 413, "exceeds 4096 bytes"),
    ],
)
def test_what_is_wrong_is_said_without_quoting_it(rigged, body, status, told):
    refusal = rigged.refused(body)

    assert refusal.status == status
    assert told in refusal.message
    assert "secret" not in refusal.message
    assert rigged.lines() == []
    assert rigged.counted()["rejected",] == 1


def test_the_longest_id_of_a_text_in_a_batch_is_taken(rigged):
    assert rigged.post({**BODY, "request_id": "x" * 128 + ".9999"})["http"] == 202


def test_a_label_that_cannot_be_written_is_not_accepted(tmp_path):
    full = Rigged(tmp_path, capture_max_bytes=4096)
    while full.capture.spool.append("prediction", [b"x" * 100]):
        pass

    refusal = full.refused(BODY)

    assert (refusal.status, refusal.error) == (503, "feedback_not_written")
    assert refusal.headers["Retry-After"]
    assert full.counted()["failed",] == 1


def test_before_the_model_is_there_nobody_knows_its_labels(tmp_path):
    assert Rigged(tmp_path, labels=()).refused(BODY).error == "starting"


def test_a_server_without_a_log_says_so(rigged):
    rigged.handler = Feedback(None, lambda: None, lambda: LABELS, Recent())

    refusal = rigged.refused(BODY)

    assert (refusal.status, refusal.error) == (503, "feedback_off")
    assert "CAPTURE_URI" in refusal.message


def test_sagemakers_one_path_takes_labels_by_their_media_type(rigged):
    async def predict(scope, receive, send):
        await send({"status": 200, "body": b'{"predicted": true}'})

    either = rigged.handler.or_else(predict)

    assert rigged.post(BODY, KIND, either)["http"] == 202
    assert rigged.post(BODY, KIND, either)["path"] == "/feedback"
    assert rigged.post({"text": "a"}, handler=either)["predicted"]


def test_accuracy_is_told_from_thirty_labels_on_and_a_later_label_replaces_an_earlier():
    recent = Recent()
    for number in range(31):
        recent.answered(f"r{number}", "v1", [said("World")])
    for number in range(29):
        recent.labelled(f"r{number}", "World")
        recent.labelled(f"r{number}", "World")

    assert (recent.labels("v1"), recent.accuracy("v1")) == (29, None)
    recent.labelled("r29", "Sports")
    recent.labelled("unknown", "Sports")
    assert recent.accuracy("v1") == pytest.approx(29 / 30)
    recent.labelled("r29", "World")
    recent.labelled("r0", "Sports")
    recent.labelled("r1", "Sports")
    assert recent.accuracy("v1") == pytest.approx(28 / 30)
    assert recent.accuracy("v2") is None


def test_the_texts_of_a_batch_are_told_apart():
    recent = Recent()
    recent.answered("batch", "v1", [said("World"), said("Sports")])

    for name in ("batch", "batch.0", "batch.1"):
        recent.labelled(name, "Sports")

    assert (recent.labels("v1"), recent._counts["v1", True]) == (2, 1)


steps = st.lists(
    st.tuples(st.sampled_from(("ask", "label")), st.integers(0, 9), st.sampled_from(LABELS))
)


@given(steps)
def test_counts_are_those_of_what_is_remembered(taken):
    recent = Recent(most=4)
    for step, request, label in taken:
        if step == "ask":
            recent.answered(f"r{request}", "v1", [said(label)])
        else:
            recent.labelled(f"r{request}", label)

    judged = [one.right for one in recent._known.values() if one.right is not None]
    assert len(recent._known) <= 4
    assert recent.labels("v1") == len(judged)
    assert recent._counts["v1", True] == sum(judged)


@pytest.fixture(scope="module")
def live_log(start, sandbox, tmp_path_factory):
    """A real server that logs to S3 and answers `a` at once, and its bucket."""
    folder = tmp_path_factory.mktemp("feedback")
    boto3.client("s3").create_bucket(Bucket="feedback-log")
    return start(
        module="plugins.quick_app",
        PYTHONPATH=Path(__file__).parents[1],
        MODEL_PATH=Rig(folder).bundle("news"),
        CAPTURE_URI="s3://feedback-log/data-capture/news",
        CAPTURE_DIR=folder / "spool",
        CAPTURE_SECONDS=0.2,
        AWS_ENDPOINT_URL=sandbox.url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    ).wait_ready()


def test_labels_of_a_real_server_meet_their_answers_in_s3(live_log, engineless):
    from tasks.feedback import feedback_accuracy  # Prefect, which no other test here needs

    with httpx.Client(base_url=live_log.url, timeout=60) as client:
        single = [client.post("/predict", json={"text": f"text {n}"}) for n in range(20)]
        batch = client.post("/predict/batch", json={"texts": [f"more {n}" for n in range(15)]})
        names = [one.headers["x-request-id"] for one in single]
        names += [f"{batch.headers['x-request-id']}.{n}" for n in range(15)]
        told = [client.post("/feedback", json={"request_id": name, "label": "a"}) for name in names]
        wrong = client.post("/feedback", json={"request_id": names[0], "label": "b"})
        metrics = client.get("/metrics").text
    now, hour = datetime.now(UTC), timedelta(hours=1)

    end = time.monotonic() + 60
    while True:
        found = feedback_accuracy("feedback-log", "news", now - hour, now + hour)
        if found.versions and found.versions[0].labelled == 35:
            break
        assert time.monotonic() < end, found
        time.sleep(0.1)

    assert {one.status_code for one in told} == {202}
    assert (wrong.status_code, wrong.json()["error"]) == (422, "validation_error")
    assert promtool.samples(metrics, "mlops_feedback_total")["accepted",] == 35
    assert promtool.samples(metrics, "mlops_model_accuracy") == {("unversioned",): 1.0}
    assert (found.versions[0].right, found.unknown, found.ambiguous) == (35, 0, 0)
