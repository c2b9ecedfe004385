"""The query frontend over plain HTTP: every kind of body, every error, the pages beside predict."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection, __version__
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import http_request, query, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

MAX_BODY_SIZE_BYTES = 200_000


def describe(inputs: list) -> list:
    """Return what the function saw of each input."""
    return [
        {"type": "str", "value": x}
        if isinstance(x, str)
        else {"type": str(x.dtype), "value": x.tolist(), "shape": list(x.shape), "writable": bool(x.flags.writeable)}
        for x in inputs
    ]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, max_body_size_bytes=MAX_BODY_SIZE_BYTES) as conn:
        for input_type in ("ints", "floats", "doubles", "bytes", "strings"):
            create_endpoint(conn, input_type, input_type, describe, slo_micros=5_000_000)
        yield conn


def _post(conn: ClipperConnection, path: str, body: bytes | str, **headers: str) -> tuple[int, Any]:
    return http_request(conn.get_query_addr(), "POST", path, body, headers)


@pytest.mark.parametrize(
    ("application", "value", "dtype", "seen"),
    [
        ("ints", [1, -2, 2147483647], "int32", [1, -2, 2147483647]),
        ("floats", [1, 2.5], "float32", [1.0, 2.5]),
        ("doubles", [1, 2.5, 1e300], "float64", [1.0, 2.5, 1e300]),
        ("doubles", [], "float64", []),
        ("bytes", base64.b64encode(b"\x00\x7f\xff").decode(), "int8", [0, 127, -1]),
        ("bytes", "", "int8", []),
    ],
)
def test_each_numeric_type_arrives_as_a_read_only_array(
    conn: ClipperConnection, application: str, value: object, dtype: str, seen: list
) -> None:
    status, reply = query(conn, application, {"input": value})
    assert status == 200
    assert reply["output"] == {"type": dtype, "value": seen, "shape": [len(seen)], "writable": False}
    assert set(reply) == {"query_id", "output", "default", "model"}


@pytest.mark.parametrize("text", ["", "plain", "naïve 🦔", '{"a": 1}', "line\nbreak\x00end"])
def test_text_arrives_as_it_is(conn: ClipperConnection, text: str) -> None:
    assert query(conn, "strings", {"input": text})[1]["output"] == {"type": "str", "value": text}


def test_batch_of_any_length_is_answered_in_order(conn: ClipperConnection) -> None:
    values = [[float(i)] * (i % 5) for i in range(40)]
    status, reply = query(conn, "doubles", {"input_batch": values})
    assert status == 200
    assert [prediction["output"]["value"] for prediction in reply["batch_predictions"]] == values
    assert len(query(conn, "doubles", {"input_batch": [[7]]})[1]["batch_predictions"]) == 1
    assert query(conn, "doubles", {"input_batch": []})[1] == {"batch_predictions": []}


def test_a_trailing_slash_a_query_and_any_content_type_are_fine(conn: ClipperConnection) -> None:
    for path in ("/doubles/predict/", "/doubles/predict?x=1"):
        assert _post(conn, path, '{"input": [1]}', **{"Content-Type": "text/plain"})[0] == 200


def test_a_version_can_be_asked_for(conn: ClipperConnection) -> None:
    for version in ("1", 1):
        assert query(conn, "doubles", {"input": [1], "version": version})[0] == 200
    status, reply = query(conn, "doubles", {"input": [1], "version": "9"})
    assert (status, reply["cause"]) == (400, "Requested version: 9 does not exist for model: doubles")
    assert reply["error"] == "Query processing error"


@pytest.mark.parametrize(
    ("application", "body", "words"),
    [
        ("doubles", b"", "truncated"),
        ("doubles", b"not json", "malformed"),
        ("doubles", b'{"input": [1]} x', "trailing characters"),
        ("doubles", b'{"input": [NaN]}', "malformed"),
        ("doubles", b"[1]", "Expected `object`"),
        ("doubles", b'"text"', "Expected `object`"),
        ("doubles", b"{}", "neither 'input' nor 'input_batch'"),
        ("doubles", b'{"version": "1"}', "neither"),
        ("doubles", b'{"input": [1], "input_batch": [[1]]}', "both 'input' and 'input_batch'"),
        ("doubles", b'{"input": [1], "uid": 3}', "unknown field `uid`"),
        ("doubles", b'{"input": [1, 2, "x"]}', r"$.input[2]"),
        ("doubles", b'{"input": [1, true]}', r"$.input[1]"),
        ("ints", b'{"input": [null]}', r"$.input[0]"),
        ("doubles", b'{"input": [[1]]}', r"$.input[0]"),
        ("doubles", b'{"input": 1}', "a list of numbers"),
        ("doubles", b'{"input": null}', "a list of numbers"),
        ("doubles", b'{"input_batch": [[1], [2, {}]]}', r"$.input_batch[1][1]"),
        ("doubles", b'{"input": [1], "version": [1]}', r"$.version"),
        ("doubles", b'{"input": ["\xff"]}', "Json error"),
        ("ints", b'{"input": [1.5]}', r"$.input[0]"),
        ("ints", b'{"input": [1, 2147483648]}', r"$.input[1]"),
        ("floats", b'{"input": [1e39]}', r"$.input[0]"),
        ("bytes", b'{"input": "a$k="}', "base64"),
        ("bytes", b'{"input": [1, 2]}', "base64"),
        ("bytes", b'{"input_batch": ["aGk=", "x"]}', r"$.input_batch[1]"),
        ("strings", b'{"input": 5}', "text"),
        ("strings", b'{"input_batch": ["a", 5]}', r"$.input_batch[1]"),
        ("doubles", b"[" * 100_000, "Json error"),
        ("doubles", b'{"input": ' + b"[" * 50_000, "Json error"),
    ],
)
def test_bad_body_is_refused_with_position_and_expected_type(
    conn: ClipperConnection, application: str, body: bytes, words: str
) -> None:
    status, reply = _post(conn, f"/{application}/predict", body)
    assert status == 400
    assert set(reply) == {"error", "cause"}
    assert words in reply["cause"] or words == reply["error"]
    stored_type = {"ints": "integers"}.get(application, application)
    assert f"This application's input type is '{stored_type}'" in reply["cause"]


def test_a_body_that_is_too_large_is_refused(conn: ClipperConnection) -> None:
    body = json.dumps({"input": [1.0] * 100_000})
    status, reply = _post(conn, "/doubles/predict", body)
    assert (status, reply["error"]) == (413, "Payload too large")
    assert str(MAX_BODY_SIZE_BYTES) in reply["cause"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/nobody/predict", 404),
        ("POST", "/%2e%2e/predict", 404),
        ("POST", "/doubles/update", 400),
        ("POST", "/", 405),
        ("POST", "/doubles", 405),
        ("GET", "/nobody", 404),
        ("GET", "/doubles/", 404),
        ("GET", "/doubles/predict", 405),
        ("PUT", "/doubles/predict", 405),
        ("DELETE", "/doubles/predict/", 405),
        ("POST", "/metrics", 405),
        ("GET", "/readyz?app=nobody", 404),
    ],
)
def test_wrong_paths_and_methods_get_json(conn: ClipperConnection, method: str, path: str, status: int) -> None:
    got, reply = http_request(conn.get_query_addr(), method, path, b'{"input": [1]}')
    assert got == status
    assert set(reply) == {"error", "cause"}


def test_health_and_metrics(conn: ClipperConnection) -> None:
    query(conn, "doubles", {"input": [123]})
    assert http_request(conn.get_query_addr(), "GET", "/livez") == (200, {"live": True, "version": __version__})
    assert http_request(conn.get_query_addr(), "GET", "/readyz") == (200, {"ready": True, "not_ready": {}})
    status, text = http_request(conn.get_metric_addr(), "GET", "/metrics")
    assert status == 200
    assert 'clipper_app_latency_seconds_bucket{app="doubles",le="0.1"}' in text
    report = conn.inspect_instance()
    series = {entry["labels"]["app"]: entry for entry in report["clipper_app_latency_seconds"]}
    queries = {entry["labels"]["app"]: entry["value"] for entry in report["clipper_app_queries_total"]}
    assert series["doubles"]["count"] == queries["doubles"] > 0
    assert 0 < series["doubles"]["p50"] <= series["doubles"]["p99"]
    assert f'clipper_app_queries_total{{app="doubles"}} {queries["doubles"]}' in text


def test_not_ready_says_which_application_and_why(conn: ClipperConnection) -> None:
    create_endpoint(conn, "gone", "doubles", lambda inputs: inputs)
    conn.set_num_replicas("gone", 0)
    status, reply = http_request(conn.get_query_addr(), "GET", "/readyz")
    assert (status, list(reply["not_ready"])) == (503, ["gone"])
    assert http_request(conn.get_query_addr(), "GET", "/readyz?app=doubles")[0] == 200
    conn.stop_models(["gone"])
    conn.unregister_application("gone")
    assert http_request(conn.get_query_addr(), "GET", "/readyz")[0] == 200
    assert '"gone"' not in http_request(conn.get_query_addr(), "GET", "/metrics")[1]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("Bearer wrong", 401), ("Basic abc", 401), ("right", 200)])
def test_management_frontend_requires_the_token(conn: ClipperConnection, token: str | None, status: int) -> None:
    if token == "right":
        token = f"Bearer {conn.cm.get_admin_token()}"
    headers = {} if token is None else {"Authorization": token}
    got, reply = http_request(conn.get_admin_addr(), "POST", "/admin/get_all_applications", "{}", headers)
    assert got == status
    assert isinstance(reply, list) if status == 200 else set(reply) == {"error", "cause"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "add_app", "", 400, "name"),
        ("POST", "add_app", "[]", 400, "object"),
        ("POST", "add_app", "{", 400, "truncated"),
        (
            "POST", "add_app",
            '{"name": "a", "input_type": "x", "default_output": "", "latency_slo_micros": 1}', 400, "input type",
        ),
        (
            "POST", "add_app",
            '{"name": "a", "input_type": "ints", "default_output": 1, "latency_slo_micros": 1}', 400, "default_output",
        ),
        (
            "POST", "add_app",
            '{"name": "a", "input_type": "ints", "default_output": "", "latency_slo_micros": 0}', 400, "SLO",
        ),
        (
            "POST", "add_app",
            '{"name": "a b", "input_type": "ints", "default_output": "", "latency_slo_micros": 1}', 400, "application",
        ),
        (
            "POST", "add_app",
            '{"name": "doubles", "input_type": "ints", "default_output": "", "latency_slo_micros": 1}', 409, "exists",
        ),
        ("POST", "delete_app", '{"name": "nobody"}', 404, "No application with name"),
        ("POST", "add_model_links", '{"app_name": "nobody", "model_names": ["doubles"]}', 404, "No application"),
        ("POST", "add_model_links", '{"app_name": "doubles", "model_names": ["no"]}', 404, "No model with name"),
        ("POST", "add_model_links", '{"app_name": "doubles", "model_names": []}', 400, "exactly one"),
        (
            "POST", "add_model",
            '{"model_name": "x", "model_version": "1", "input_type": "ints", "batch_size": 0}', 400, "batch_size",
        ),
        ("POST", "set_model_version", '{"model_name": "no", "model_version": "1"}', 404, "No model with name"),
        ("POST", "delete_versioned_model", '{"model_name": "doubles", "model_version": "9"}', 404, "version '9'"),
        ("POST", "no_such_call", "{}", 404, "no path"),
        ("GET", "add_app", "", 405, "POST"),
    ],
)  # fmt: skip
def test_admin_failures_are_json_with_their_status(
    conn: ClipperConnection, method: str, path: str, body: str, status: int, words: str
) -> None:
    headers = {"Authorization": f"Bearer {conn.cm.get_admin_token()}"}
    got, reply = http_request(conn.get_admin_addr(), method, f"/admin/{path}", body, headers)
    assert got == status
    assert words in reply["cause"]


def test_clippers_ping(conn: ClipperConnection) -> None:
    assert http_request(conn.get_admin_addr(), "GET", "/admin/ping") == (200, "PONG")
