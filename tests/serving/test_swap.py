"""Versions of a live server change under load: no request fails, no answer is of another model."""

import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import httpx
import psutil
import pytest

from training.bundle import Classifier

# What the bar asks for is 20; each swap costs a start of a model process.
SWAPS = int(os.environ.get("SWAPS", "4"))
TEXTS = [f"{word} in the {other}" for word in ("oil", "war", "goal") for other in ("web", "cup")]


@dataclass
class Model:
    """A bundle and what it answers."""

    folder: Path
    digest: str
    golden: dict[str, tuple[str, float]]


@pytest.fixture(scope="module")
def models(served, tiny_bundle) -> list[Model]:
    """Two bundles whose answers differ."""
    made = []
    for folder in (served, tiny_bundle(seed=2, engine="openvino-int8")):
        loaded = Classifier.load(folder, threads=1)
        answers = {text: loaded.predict([text])[0] for text in TEXTS}
        golden = {text: (one.label, one.confidence) for text, one in answers.items()}
        made.append(Model(folder, loaded.manifest.digest, golden))
    one, other = (model.golden for model in made)
    assert all(
        one[text][0] != other[text][0] or abs(one[text][1] - other[text][1]) > 0.02
        for text in TEXTS
    )
    return made


@dataclass
class Swapped:
    """A server and the file that says what it serves."""

    client: httpx.Client
    plan: Path
    family: Callable[[], list[psutil.Process]]
    models: dict[str, Model] = field(default_factory=dict)

    def deploy(self, *versions: tuple[str, Model, float], primary: str = "") -> None:
        """Replace the plan as whoever deploys does."""
        self.models.update({name: model for name, model, _ in versions})
        plan = {
            "primary": primary or versions[0][0],
            "versions": [
                {"version": name, "path": str(model.folder), "weight": weight}
                for name, model, weight in versions
            ],
        }
        partial = self.plan.with_suffix(".new")
        partial.write_text(json.dumps(plan))
        partial.replace(self.plan)

    def versions(self) -> dict:
        return self.client.get("/model/versions").raise_for_status().json()

    def wait(self, reached: Callable[[dict], bool]) -> dict:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if reached(seen := self.versions()):
                return seen
            time.sleep(0.05)
        raise AssertionError(f"not reached: {seen}")

    def memory_mb(self) -> float:
        return sum(one.memory_info().rss for one in self.family()) / 1e6


@pytest.fixture(scope="module")
def server(start, models, tmp_path_factory) -> Iterator[Swapped]:
    plan = tmp_path_factory.mktemp("plan") / "plan.json"
    with httpx.Client(timeout=60) as client:
        swapped = Swapped(client, plan, lambda: live.family())
        swapped.deploy(("s0", models[0], 1))
        live = start(PLAN_FILE=plan, CACHE_ENABLED="false").wait_ready()
        client.base_url = live.url
        yield swapped


@contextmanager
def load(server: Swapped, callers: int = 4) -> Iterator[Counter]:
    """Callers who ask fifty times a second; counts who answered, and whatever was wrong."""
    seen: Counter = Counter()
    over = threading.Event()

    def call() -> None:
        texts = cycle(TEXTS)
        with httpx.Client(base_url=server.client.base_url, timeout=60) as client:
            while not over.wait(callers / 50):
                seen[ask(client, server, next(texts))] += 1

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def ask(client: httpx.Client, server: Swapped, text: str) -> str:
    """The version that answered, or what is wrong with the answer."""
    try:
        answer = client.post("/predict", json={"text": text})
    except httpx.HTTPError as error:
        return f"failed: {error!r}"
    if answer.status_code != 200:
        return f"failed: {answer.status_code} {answer.text}"
    body = answer.json()
    model = server.models[body["model_version"]]
    label, confidence = model.golden[text]
    right = body["prediction"] == label and abs(body["confidence"] - confidence) < 0.005
    told = (answer.headers["x-model-version"], answer.headers["x-bundle-digest"])
    if not right or told != (body["model_version"], model.digest):
        return f"failed: {body} {told} is not {label} {confidence}"
    return body["model_version"]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def broken(model: Model, folder: Path, name: str, how: Callable[[Path], object]) -> Model:
    """A copy of the bundle, one file of it damaged."""
    shutil.copytree(model.folder, folder)
    how(folder / name)
    return Model(folder, model.digest, model.golden)


def test_swaps_under_load_fail_no_request_and_a_corrupt_bundle_changes_nothing(
    server, models, tmp_path
):
    corrupt = broken(models[1], tmp_path / "corrupt", "engine.safetensors", flip)
    started_with = len(server.family())
    memory_mb = server.memory_mb()

    with load(server) as seen:
        for number in range(1, SWAPS + 1):
            if number == SWAPS // 2:
                server.deploy(("corrupt", corrupt, 1))
                refused = server.wait(lambda now: now["refused"])
                assert "engine.safetensors: truncated or altered" in refused["refused"]
                assert refused["primary"] == f"s{number - 1}"
            server.deploy((f"s{number}", models[number % 2], 1))
            server.wait(lambda now, name=f"s{number}": now["primary"] == name and seen[name])

    assert [what for what in seen if what.startswith("failed")] == []
    assert {f"s{number}" for number in range(1, SWAPS + 1)} <= set(seen)
    assert "corrupt" not in seen
    server.wait(lambda _: len(server.family()) == started_with)  # the last one has ended
    assert server.memory_mb() < 1.3 * memory_mb


@pytest.mark.parametrize(
    ("name", "how", "reason"),
    [
        ("model.safetensors", lambda file: os.truncate(file, 5000), "truncated or altered"),
        ("manifest.json", flip, "not a manifest"),
    ],
)
def test_a_broken_bundle_is_refused_by_name_and_the_old_one_answers_on(
    server, models, tmp_path, name, how, reason
):
    before = server.versions()["versions"]

    server.deploy(("bad", broken(models[1], tmp_path / "bad", name, how), 1))

    told = server.wait(lambda now: reason in now["refused"])
    assert name in told["refused"]
    assert told["versions"] == before
    assert "mlops_plan_failures_total 0.0" not in server.client.get("/metrics").text
    assert ask(server.client, server, TEXTS[0]) == before[0]["version"]


def test_two_versions_share_the_traffic_and_a_key_stays_with_one(server, models):
    server.deploy(("champion", models[0], 1), ("challenger", models[1], 1))
    server.wait(lambda now: len(now["versions"]) == 2)

    def version(**headers: str) -> str:
        answer = server.client.post("/predict", json={"text": TEXTS[0]}, headers=headers)
        return answer.json()["model_version"]

    first = {f"user-{n}": version(**{"X-Routing-Key": f"user-{n}"}) for n in range(20)}
    again = {key: version(**{"X-Routing-Key": key}) for key in first}

    assert set(first.values()) == {"champion", "challenger"}
    assert again == first
    seen = {ask(server.client, server, text) for text in TEXTS * 5}
    assert seen == {"champion", "challenger"}


def test_a_request_pins_a_version_and_an_unknown_one_is_told_which_are_there(server, models):
    server.deploy(("champion", models[0], 1), ("shadow", models[1], 0))
    server.wait(lambda now: "shadow" in {one["version"] for one in now["versions"]})

    def pinned(name: str) -> httpx.Response:
        asked = {"text": TEXTS[0], "model_version": name}
        return server.client.post("/predict", json=asked)

    assert pinned("shadow").json()["model_version"] == "shadow"
    assert pinned("shadow").headers["x-bundle-digest"] == models[1].digest
    unknown = pinned("challenger")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "model_version_not_found")
    assert "champion, shadow" in unknown.json()["message"]
