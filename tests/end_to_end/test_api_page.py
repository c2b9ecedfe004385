"""``/openapi.json`` and the pages of a cluster: always those of its applications, for tools that others made."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import http_request, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

CHECKOUT = Path(__file__).parents[2]
SAMPLES: dict[str, Any] = {
    "json": {"age": 3},
    "ints": [1, 2],
    "floats": [0.5],
    "doubles": [0.5, 1.5],
    "bytes": b"\x00\x01",
    "strings": "a text",
}
MAX_EXAMPLES = int(os.environ.get("SCHEMATHESIS_MAX_EXAMPLES", "30"))
"""For each application, besides hundreds that cover the schema."""


def measure(inputs: list) -> list:
    return [len(x) for x in inputs]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, query_token=True) as conn:
        for input_type, sample in SAMPLES.items():
            create_endpoint(conn, input_type, input_type, measure, sample_inputs=[sample], slo_micros=10_000_000)
        conn.register_application("alone", "doubles", "-1", 10_000_000)
        yield conn


def get(conn: ClipperConnection, path: str) -> Any:
    headers = {"Authorization": f"Bearer {conn.query_token}"}
    status, reply = http_request(conn.get_query_addr(), "GET", path, headers=headers)
    assert status == 200
    return reply


def test_document_is_valid_and_has_all_applications(conn: ClipperConnection) -> None:
    document = get(conn, "/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    assert list(document["paths"]) == sorted(
        f"/{name}/{verb}" for name in [*SAMPLES, "alone"] for verb in ("predict", "update")
    )


def test_deploys_sample_is_the_example_and_its_answer_too(conn: ClipperConnection) -> None:
    operation = get(conn, "/openapi.json")["paths"]["/bytes/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert examples["input"]["value"] == {"input": "AAE="}
    assert operation["responses"]["200"]["content"]["application/json"]["example"]["output"] == 2


def test_applications_come_and_go_at_once(conn: ClipperConnection) -> None:
    for pages in (lambda: str(get(conn, "/openapi.json")["paths"]), lambda: str(get(conn, "/")["applications"])):
        assert "guest" not in pages()
        conn.register_application("guest", "strings", "none", 100_000)
        assert "guest" in pages()
        conn.link_model_to_app("guest", "strings")
        assert get(conn, "/guest")["model"] == "strings:1"
        conn.unlink_model_from_app("guest", "strings")
        conn.delete_application("guest")
        assert "guest" not in pages()


def test_application_on_the_page_tells_how_to_call_it(conn: ClipperConnection) -> None:
    described = get(conn, "/doubles")
    address = described["address"].removeprefix(f"http://{conn.get_query_addr()}")
    headers = {"Authorization": f"Bearer {conn.query_token}"}
    body = json.dumps(described["example"])
    assert http_request(conn.get_query_addr(), "POST", address, body, headers)[1]["output"] == 2


def test_browser_brings_the_token_once_and_sees_the_page(conn: ClipperConnection) -> None:
    host, port = conn.get_query_addr().split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        connection.request("GET", f"/?token={conn.query_token}", headers={"Accept": "text/html"})
        reply = connection.getresponse()
        reply.read()
        cookie = str(reply.getheader("Set-Cookie")).split(";")[0]
    assert (
        "ints" in http_request(conn.get_query_addr(), "GET", "/", headers={"Accept": "text/html", "Cookie": cookie})[1]
    )


@pytest.mark.skipif(sys.version_info < (3, 11), reason="schemathesis beside our jsonschema-rs needs Python 3.11")
@pytest.mark.timeout(1200)
def test_schemathesis_finds_no_difference_to_the_document(conn: ClipperConnection, tmp_path: Path) -> None:
    address = f"http://{conn.get_query_addr()}"
    path = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--url", address, "--no-color",
            "-H", f"Authorization: Bearer {conn.query_token}", "--max-examples", str(MAX_EXAMPLES),
            "--generation-deterministic", "--exclude-path-regex", "/(?!json|alone)[a-z]+/update",
        ],
        cwd=tmp_path, env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_client_calls_an_application(
    conn: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(get(conn, "/openapi.json")))
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none",
            "--config", "config.yaml", "--output-path", "made_client", "--fail-on-warning",
        ],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    made = importlib.import_module("made_client")
    models = importlib.import_module("made_client.models")
    predict = importlib.import_module("made_client.api.applications.predict_doubles")
    client = made.AuthenticatedClient(f"http://{conn.get_query_addr()}", token=conn.query_token)
    with client:
        one = predict.sync(client=client, body=models.PredictDoublesOneInput([0.5, 1.5, 2.5]))
        several = predict.sync(client=client, body=models.PredictDoublesSeveralInputs([[0.5], []]))
        wrong = predict.sync(client=client, body=models.PredictDoublesSeveralInputs([[0.5], ["x"]]))
    assert (one.output, one.default, one.model) == (3, False, "doubles:1")
    assert [answer.output for answer in several.batch_predictions] == [1, 0]
    assert wrong.error == "Json error"
