"""The contracts, key by key and type by type, on a real server."""

import re

import pytest

from serving.versions import read_manifest

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def shape(body: dict[str, object]) -> dict[str, type]:
    """Keys in their order, each with its type."""
    return {key: type(value) for key, value in body.items()}


def test_it_is_never_healthy_before_the_model_is_warm(live):
    assert set(live.seen[:-1]) <= {503}
    assert live.seen[-1] == 200


def test_data_answers_lists_of_three(client):
    body = client.post("/predict", json={"data": "the team won the cup"}).json()

    assert shape(body) == {"main_category": list, "probabilities": list}
    assert [type(label) for label in body["main_category"]] == [str, str, str]
    assert [type(value) for value in body["probabilities"]] == [float, float, float]
    assert body["probabilities"] == sorted(body["probabilities"], reverse=True)


def test_text_answers_one_prediction(client):
    answer = client.post("/predict", json={"text": "stock market", "model_version": "v1.0.0"})

    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert shape(body) == {
        "prediction": str,
        "confidence": float,
        "model_version": str,
        "processing_time": float,
        "timestamp": str,
    }
    assert body["model_version"] == "v1.0.0"
    assert TIMESTAMP.fullmatch(body["timestamp"])


def test_text_and_data_get_the_same_label(client):
    text = client.post("/predict", json={"text": "war and peace talks"}).json()
    data = client.post("/predict", json={"data": "war and peace talks"}).json()

    assert text["prediction"] == data["main_category"][0]
    assert text["confidence"] == data["probabilities"][0]


def test_a_text_whose_tokens_were_cut_is_told_so(client):
    body = client.post("/predict", json={"text": "team " * 60}).json()

    assert body["truncated"] is True


def test_a_batch_answers_in_the_order_of_the_texts(client):
    texts = ["oil price", "the player", "space science phone"]

    body = client.post("/predict/batch", json={"texts": texts}).json()

    alone = [client.post("/predict", json={"text": text}).json() for text in texts]
    assert shape(body) == {
        "predictions": list,
        "model_version": str,
        "processing_time": float,
        "batch_size": int,
        "timestamp": str,
    }
    assert [shape(one) for one in body["predictions"]] == [
        {"prediction": str, "confidence": float}
    ] * 3
    assert [one["prediction"] for one in body["predictions"]] == [a["prediction"] for a in alone]
    assert body["batch_size"] == 3


def test_health_has_the_four_keys(client):
    body = client.get("/health").json()

    assert shape(body) == {"status": str, "model_status": str, "timestamp": str, "version": str}
    assert (body["status"], body["model_status"]) == ("healthy", "healthy")


def test_model_info_comes_from_the_bundle(client, served):
    body = client.get("/model/info").json()

    manifest = read_manifest(served)[0]
    assert shape(body) == {
        "name": str,
        "version": str,
        "task": str,
        "loaded_at": str,
        "engine": str,
        "parameters": dict,
    }
    assert body["engine"] == manifest.engine
    assert shape(body["parameters"]) == {"total_parameters": int, "model_size_mb": float}
    assert body["name"] == manifest.classifier
    assert body["parameters"]["total_parameters"] == manifest.total_parameters


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"text": "goal"}, "prediction"),
        ({"data": "goal"}, "main_category"),
        ({"texts": ["goal"]}, "predictions"),
    ],
)
def test_invocations_take_every_shape(client, body, key):
    assert key in client.post("/invocations", json=body).json()


def test_ping_is_empty_and_200(client):
    answer = client.get("/ping")

    assert (answer.status_code, answer.content) == (200, b"")


def test_another_model_version_is_404_in_the_error_shape(client):
    answer = client.post("/predict", json={"text": "goal", "model_version": "v9"})

    body = answer.json()
    assert answer.status_code == 404
    assert shape(body) == {"error": str, "message": str, "timestamp": str, "request_id": str}
    assert "v9" not in answer.text
    assert body["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/ping"),
        ("GET", "/model/info"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/no/such/path"),
        ("DELETE", "/predict"),
        ("POST", "/predict"),
        ("POST", "/predict/batch"),
        ("POST", "/invocations"),
    ],
)
def test_every_answer_says_which_model_and_which_request(client, served, method, path):
    answer = client.request(method, path, headers={"X-Request-Id": "abc-123"})

    assert answer.headers["x-model-version"] == "v1.0.0"
    assert answer.headers["x-bundle-digest"] == read_manifest(served)[1]
    assert answer.headers["x-request-id"] == "abc-123"


def test_an_insane_request_id_is_replaced(client):
    answer = client.get("/ping", headers={"X-Request-Id": "a b{" + "x" * 200})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_metrics_count_success_and_rejection_apart(client):
    client.post("/predict", json={"text": "goal"})
    client.post("/predict", json={"text": ""})

    text = client.get("/metrics").text

    assert 'mlops_prediction_requests_total{model_version="v1.0.0",status="success"}' in text
    assert 'mlops_prediction_latency_seconds{model_version="v1.0.0",quantile="0.95"}' in text
    assert 'mlops_prediction_requests_total{model_version="v1.0.0",status="error"} 0.0' in text
    assert re.search(r'status="rejected"} [1-9]', text)


def test_the_docs_describe_every_route(client):
    assert set(client.get("/openapi.json").json()["paths"]) == {
        "/predict",
        "/predict/batch",
        "/invocations",
        "/feedback",
        "/health",
        "/health/live",
        "/ping",
        "/model/info",
        "/model/versions",
        "/metrics",
    }
