"""The document says what the server does: requests made from it, valid and not, judged by it."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from serving import bulk, openapi
from serving.contract import SHAPES

CONFIG = """
seed = 7
[generation]
max-examples = 8
database = "none"
no-shrink = true
# A header that nobody knows is no mistake of the caller's, in HTTP.
allow-extra-parameters = false
[phases.stateful]
enabled = false
"""


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_requests_made_from_the_document_are_answered_as_it_says(live, document, tmp_path):
    asked = copy.deepcopy(document)
    del asked["paths"]["/feedback"]  # this server keeps no log: it takes no label
    for path in asked["paths"].values():
        for kind in (bulk.JSON_LINES, bulk.CSV):  # what is right in them, no schema can say
            path.get("post", {}).get("requestBody", {}).get("content", {}).pop(kind, None)
        # A deadline of a millisecond is rightly missed.
        sent = path.get("post", {}).get("parameters", [])
        sent[:] = [one for one in sent if one["name"] != "X-Request-Timeout-Ms"]
    Path(tmp_path, "openapi.json").write_text(json.dumps(asked))
    Path(tmp_path, "schemathesis.toml").write_text(CONFIG)

    ran = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "--no-color", "run"),
            *("openapi.json", "--url", live.url),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )

    assert ran.returncode == 0, ran.stdout[-5000:]
    assert "Tested: 9" in ran.stdout


def test_every_prediction_tells_every_way_to_be_refused(document):
    for path in ("/predict", "/predict/batch", "/invocations"):
        responses = document["paths"][path]["post"]["responses"]

        wanted = {"200", "400", "401", "404", "408", "413", "415", "422", "429"}
        assert wanted | {"500", "503", "504"} <= set(responses)
        assert "Retry-After" in responses["503"]["headers"]


def test_every_example_is_answered(client, document):
    for path in ("/predict", "/predict/batch", "/invocations"):
        for kind, told in document["paths"][path]["post"]["requestBody"]["content"].items():
            examples = [one["value"] for one in told.get("examples", {}).values()]
            for example in [*examples, *filter(None, [told.get("example")])]:
                body = example if isinstance(example, str) else json.dumps(example)

                answer = client.post(path, content=body, headers={"content-type": kind})

                assert answer.status_code == 200, answer.text


def test_limits_of_this_server_are_in_the_shapes(document):
    shapes = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    texts = {tuple(one["properties"]): one for one in shapes["application/json"]["schema"]["oneOf"]}

    assert {keys[0] for keys in texts} == set(SHAPES)
    assert texts["data",]["properties"]["data"]["maxLength"] == 512
    assert texts["texts", "model_version"]["properties"]["texts"]["maxItems"] == 128


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_pages_load_nothing_from_elsewhere(client, page):
    html = client.get(page)

    assert html.headers["content-type"].startswith("text/html")
    assert "https://" not in html.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png"):
        if asset in html.text:
            assert client.get(f"/docs/{asset}").status_code == 200


def test_a_server_that_asks_for_keys_says_so():
    app = FastAPI()
    for path in ("/predict", "/health"):
        app.add_api_route(path, lambda: None)
    openapi.finish(app, keys=True, open_paths=("/health",))

    paths = app.openapi()["paths"]

    assert paths["/predict"]["get"]["security"] == [{"key": []}, {"bearer": []}]
    assert "security" not in paths["/health"]["get"]
