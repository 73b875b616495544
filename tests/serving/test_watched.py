"""What a real server tells, and whether Prometheus, the alerts and the boards can use it."""

import json
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import yaml
from plugins.promtool import program, samples, told
from prometheus_client.parser import text_string_to_metric_families

from infra.monitoring import dashboards, prepare
from infra.monitoring.prepare import Monitoring
from serving import keys

RULES = Path(__file__).resolve().parents[2] / "infra" / "monitoring" / "rules.yml"
VARIABLES = {
    "$__rate_interval": "1m",
    "$environment": "dev",
    "$classifier": ".*",
    "$server_hour_usd": "0.1",
}
NAMES = {
    "mlops_prediction_requests_total": {"model_version", "status"},
    "mlops_prediction_latency_seconds": {"model_version", "quantile"},
    "mlops_model_accuracy": {"model_version"},
    "mlops_model_confidence": {"model_version", "quantile"},
    "mlops_cpu_usage_percent": set(),
    "mlops_memory_usage_bytes": set(),
    "api_response_time_seconds_bucket": {"path", "le"},
}


class Watched:
    """A server with two model processes, a prediction log and a caller whose name is known."""

    def __init__(self, server, key: str) -> None:
        self.server = server
        self.key = key
        self.client = httpx.Client(base_url=server.url, headers={"X-API-Key": key}, timeout=60)

    def text(self) -> str:
        return self.client.get("/metrics").text


@pytest.fixture(scope="module")
def watched(start, served, tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    key, stored = keys.make("alice", "load-test")
    (folder / "keys.json").write_text(keys.document([stored]))
    server = start(
        MODEL_PATH=served,
        MODEL_VERSION="v7",
        API_WORKERS=2,
        BATCH_SIZE=1,
        AUTH="keys",
        API_KEYS_FILE=folder / "keys.json",
        CAPTURE_URI="s3://data/data-capture/news",
        CAPTURE_DIR=folder,
        CAPTURE_SHIPPER="apart",
    )
    made = Watched(server.wait_ready(), key)
    yield made
    made.client.close()


def test_what_several_processes_did_is_told_as_one(watched):
    def ask(number: int) -> int:
        body = {"text": f"goal {number}"} if number % 4 else {"text": 7}
        return watched.client.post("/predict", json=body).status_code

    with ThreadPoolExecutor(8) as callers:
        statuses = list(callers.map(ask, range(40)))

    text = watched.text()
    assert sorted(statuses) == [200] * 30 + [422] * 10
    requests = samples(text, "mlops_prediction_requests_total")
    assert requests == {("v7", "success"): 30, ("v7", "rejected"): 10, ("v7", "error"): 0}
    for name in ("mlops_prediction_duration_seconds", "mlops_model_confidence"):
        assert samples(text, f"{name}_count") == {("v7",): 30}
    assert samples(text, "mlops_model_processes") == {("v7",): 2}
    assert samples(text, "mlops_in_flight") == {("v7",): 0}
    assert samples(text, "api_requests_total")["alice", "/predict"] == 40
    assert samples(text, "mlops_capture_records_total")["prediction", "logged"] == 30
    parts = sum(process.memory_info().rss for process in watched.server.family())
    assert samples(text, "mlops_memory_usage_bytes")[()] == pytest.approx(parts, rel=0.2)


def test_dashboards_find_their_names_and_labels(watched):
    watched.client.post("/predict", json={"text": "goal"})

    found = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(watched.text())
        for sample in family.samples
    }

    assert {name: found.get(name) for name in NAMES} == NAMES


def test_boards_and_alerts_ask_for_nothing_that_a_server_does_not_tell(watched):
    watched.client.post("/predict", json={"text": "goal"})
    rules = yaml.safe_load(RULES.read_text())
    boards = [json.loads(text) for text in dashboards.texts().values()]
    asked = set(re.findall(r"\b(?:mlops|api)_\w+|perennial:[\w:]+", json.dumps([rules, boards])))

    there = {
        sample.name
        for family in text_string_to_metric_families(watched.text())
        for sample in family.samples
    }

    assert len(asked) > 20
    recorded = {rule.get("record") for group in rules["groups"] for rule in group["rules"]}
    assert asked <= there | recorded, asked - there - recorded


def test_prometheus_has_nothing_against_the_text(watched):
    code, complaints = told("promtool", "check", "metrics", text=watched.text())

    assert code == 0, complaints


def test_a_model_process_that_was_replaced_is_counted_and_its_memory_too(watched):
    watched.client.post("/predict", json={"text": "goal"})
    before = samples(watched.text(), "mlops_prediction_requests_total")["v7", "success"]
    watched.server.worker().kill()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        text = watched.text()
        if samples(text, "mlops_model_process_restarts_total") == {("v7",): 1}:
            break
        time.sleep(0.2)

    parts = sum(process.memory_info().rss for process in watched.server.family())
    assert samples(text, "mlops_model_processes") == {("v7",): 2}
    assert samples(text, "mlops_memory_usage_bytes")[()] == pytest.approx(parts, rel=0.2)
    assert samples(text, "mlops_prediction_requests_total")["v7", "success"] == before


@pytest.fixture
def prometheus(watched, tmp_path):
    """Prometheus itself, on what `make monitoring` writes but in a hurry: asks by a query."""
    given = Monitoring(MONITORING_FOLDER=tmp_path, CLASSIFIER="news", environment="dev")
    prepare.write(given, watched.server.url, watched.key)
    config = tmp_path / "prometheus.yml"
    config.write_text(config.read_text().replace("_interval: 15s", "_interval: 250ms"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [
            program("prometheus"),
            *(f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data' / 'prometheus'}"),
            *(f"--web.listen-address={address}", "--log.level=error"),
        ],
    )

    def ask(query: str) -> list[dict[str, object]]:
        answer = httpx.get(
            f"http://{address}/api/v1/query", params={"query": query}, timeout=60
        ).json()
        assert answer["status"] == "success", (query, answer)
        return answer["data"]["result"]

    yield ask
    process.terminate()
    process.wait(60)


def test_prometheus_finds_it_by_its_key_and_fills_the_boards(watched, prometheus):
    end = time.monotonic() + 60
    filled: list[dict[str, object]] = []
    while not filled and time.monotonic() < end:
        time.sleep(0.2)
        watched.client.post("/predict", json={"text": "goal"})
        watched.client.post("/predict", json={"text": 7})
        with suppress(httpx.TransportError):
            filled = prometheus("perennial:prediction_errors:ratio_rate5m and on () up == 1")
    boards = [json.loads(text) for text in dashboards.texts().values()]

    empty = set()
    for panel in (panel for board in boards for panel in board["panels"]):
        for expression in (target["expr"] for target in panel["targets"] if "expr" in target):
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            if not prometheus(expression):
                empty.add(panel["title"])

    assert filled[0]["metric"]["classifier"] == "news"
    assert empty == set()
