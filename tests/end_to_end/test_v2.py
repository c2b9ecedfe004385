"""The Open Inference Protocol (V2) over plain HTTP: health, metadata, inference, with tokens and several versions."""

from __future__ import annotations

import http.client
import json
import struct
import subprocess
from collections.abc import Iterator
from typing import Any, TypedDict

import numpy as np
import pytest

from clipper_nb import ClipperConnection, __version__
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.protocol.test_v2_body import binary_request, bytes_tensor, json_request
from tests.support.clusters import http_request, query, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

INPUT_TYPES = ("ints", "floats", "doubles", "bytes", "strings", "json")


class Passenger(TypedDict):
    name: str
    age: int


def greet(passengers: list[Passenger]) -> list:
    return [f"{each['name']} is {each['age']}" for each in passengers]


def describe(inputs: list) -> list:
    """Return what the function saw of each input."""
    if inputs and isinstance(inputs[0], (str, dict)):
        return [{"type": type(x).__name__, "value": x} for x in inputs]
    return [{"type": str(x.dtype), "value": x.tolist()} for x in inputs]


def fail_on_negative(inputs: list) -> list:
    if any(x[0] < 0 for x in inputs):
        raise ValueError("negative")
    return [float(x.sum()) for x in inputs]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind) as conn:
        for input_type in INPUT_TYPES:
            create_endpoint(conn, input_type, input_type, describe, slo_micros=5_000_000)
        create_endpoint(conn, "sums", "doubles", fail_on_negative, slo_micros=5_000_000, default_output="-1.0")
        deploy_python_closure(conn, "sums", 2, "doubles", lambda xs: [-float(x.sum()) for x in xs])
        conn.set_model_version("sums", 1)
        create_endpoint(conn, "greetings", "json", greet, slo_micros=5_000_000)
        conn.register_application("lonely", "strings", "null", 100_000)
        yield conn


def send(
    conn: ClipperConnection, path: str, body: bytes, json_size: bytes | None = None, **headers: str
) -> tuple[int, dict[str, Any], bytes]:
    """Return the status of a POST, its JSON, and the bytes after it."""
    connection = http.client.HTTPConnection(conn.get_query_addr(), timeout=30)
    if json_size is not None:
        headers["Inference-Header-Content-Length"] = json_size.decode()
    try:
        connection.request("POST", path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
    finally:
        connection.close()
    size = int(reply.headers.get("Inference-Header-Content-Length", len(content)))
    return reply.status, json.loads(content[:size]), content[size:]


def get(
    conn: ClipperConnection, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, Any]:
    return http_request(conn.get_query_addr(), method, path, body, headers)


# --- health and metadata


def test_health_has_a_status_and_a_body(conn: ClipperConnection) -> None:
    assert get(conn, "/v2/health/live") == (200, {"live": True})
    assert get(conn, "/v2/health/ready") == (200, {"ready": True})
    assert get(conn, "/v2/models/sums/ready") == (200, {"name": "sums", "ready": True})
    assert get(conn, "/v2/models/sums/versions/2/ready") == (200, {"name": "sums", "ready": True})
    lonely = {"name": "lonely", "ready": False, "error": "no model is linked"}
    assert get(conn, "/v2/models/lonely/ready") == (503, lonely)


def test_metadata_of_server_and_models(conn: ClipperConnection) -> None:
    server = {"name": "clipper_nb", "version": __version__, "extensions": ["binary_tensor_data"]}
    assert get(conn, "/v2") == get(conn, "/v2/") == (200, server)
    assert get(conn, "/v2/models") == (200, {"models": sorted([*INPUT_TYPES, "sums", "greetings", "lonely"])})
    assert query(conn, "sums", {"input": [1.0]})[0] == 200
    send(conn, "/v2/models/sums/infer", json_request("FP64", [1, 1], [1.0]))
    assert get(conn, "/v2/models/sums") == (
        200,
        {
            "name": "sums",
            "versions": ["1", "2"],
            "platform": "clipper_nb_doubles",
            "inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, -1]}],
            "outputs": [{"name": "output", "datatype": "FP64", "shape": [-1]}],
        },
    )
    assert get(conn, "/v2/models/sums/versions/2")[1]["versions"] == ["2"]


def test_index_lists_every_version_and_its_state(conn: ClipperConnection) -> None:
    status, rows = get(conn, "/v2/repository/index", "POST", "")
    assert status == 200
    assert {(row["name"], row["version"]): row["state"] for row in rows} == {
        **{(name, "1"): "READY" for name in (*INPUT_TYPES, "sums", "greetings")},
        ("sums", "2"): "READY",
        ("lonely", ""): "UNAVAILABLE",
    }
    ready = get(conn, "/v2/repository/index", "POST", '{"ready": true}')[1]
    assert [row for row in rows if row["state"] == "READY"] == ready


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/v2/models/unknown", 404, "No application with name 'unknown' exists."),
        ("GET", "/v2/models/unknown/ready", 404, "No application with name 'unknown' exists."),
        ("GET", "/v2/models/sums/versions/9", 404, "Requested version: 9 does not exist for model: sums"),
        ("GET", "/v2/models/sums/versions/9/ready", 404, "Requested version: 9 does not exist for model: sums"),
        ("GET", "/v2/models/lonely/versions/9", 404, "Requested version: 9 does not exist for model: lonely"),
        ("GET", "/v2/models/sums/config", 404, "has no path /v2/models/sums/config"),
        ("POST", "/v2/repository/models/sums/load", 404, "management frontend"),
        ("POST", "/v2/repository/index", 400, "must be empty or"),
        ("GET", "/v2/models/sums/infer", 405, "/v2/models/sums/infer takes POST, not GET."),
        ("POST", "/v2", 405, "/v2 takes GET or HEAD, not POST."),
        ("POST", "/v2/models/unknown/infer", 404, "No application with name 'unknown' exists."),
        ("POST", "/v2/models/sums/versions/9/infer", 404, "Requested version: 9 does not exist for model: sums"),
        ("POST", "/v2/models/sums/infer", 400, "This is no inference request"),
    ],
)
def test_failures_are_one_text(conn: ClipperConnection, method: str, path: str, status: int, words: str) -> None:
    got, body = get(conn, path, method, '{"ready": 3}' if method == "POST" else None)
    assert (got, list(body)) == (status, ["error"])
    assert words in body["error"]


# --- inference


@pytest.mark.parametrize(
    ("application", "datatype", "values", "dtype"),
    [
        ("ints", "INT32", np.array([[1, -2], [3, 2**31 - 1]]), "int32"),
        ("ints", "INT64", np.array([[1, -2], [3, 4]]), "int32"),
        ("floats", "FP32", np.array([[1.5, 0.1], [3.0, 4.0]]), "float32"),
        ("floats", "FP64", np.array([[1.5, 0.1], [3.0, 4.0]]), "float32"),
        ("doubles", "FP64", np.array([[1.5, 0.1], [3.0, 1e300]]), "float64"),
        ("doubles", "FP32", np.array([[1.5, 0.1], [3.0, 4.0]]), "float64"),
        ("doubles", "FP16", np.array([[1.5, 0.1], [3.0, 4.0]]), "float64"),
        ("doubles", "UINT8", np.array([[1, 2], [3, 255]]), "float64"),
        ("bytes", "UINT8", np.array([[0, 127], [128, 255]]), "int8"),
        ("bytes", "INT8", np.array([[0, 127], [-128, -1]]), "int8"),
    ],
)
def test_numbers_arrive_alike_from_json_and_binary(
    conn: ClipperConnection, application: str, datatype: str, values: np.ndarray, dtype: str
) -> None:
    names = {"INT": "i", "UINT": "u", "FP": "f"}
    letters = datatype.rstrip("0123456789")
    tensor = values.astype(f"<{names[letters]}{int(datatype[len(letters) :]) // 8}")
    seen = tensor.view(np.int8) if application == "bytes" else tensor.astype(dtype)
    expected = [{"type": dtype, "value": row} for row in seen.tolist()]
    requests = [binary_request(datatype, [2, 2], tensor.tobytes())]
    if datatype != "FP16":
        requests += [(json_request(datatype, [2, 2], tensor.tolist()), b"")]
    for body, json_size in requests:
        status, reply, _ = send(conn, f"/v2/models/{application}/infer", body, json_size or None)
        assert status == 200
        [output] = reply["outputs"]
        assert (output["datatype"], output["shape"]) == ("BYTES", [2])
        assert output["parameters"] == {"content_type": "json"}
        assert [json.loads(text) for text in output["data"]] == expected


def test_texts_arrive_as_they_are(conn: ClipperConnection) -> None:
    texts = ["", "naïve 🦔", '[{"a": 1}]']
    raw = bytes_tensor([text.encode() for text in texts])
    for request in ((json_request("BYTES", [3], texts), None), binary_request("BYTES", [3, 1], raw)):
        status, reply, _ = send(conn, "/v2/models/strings/infer", *request)
        assert status == 200
        assert [json.loads(text)["value"] for text in reply["outputs"][0]["data"]] == texts


def test_elements_of_json_are_records(conn: ClipperConnection) -> None:
    records = [{"name": "Ann", "age": 30}, {"name": "Bo", "age": 4}]
    texts = [json.dumps(record) for record in records]
    raw = bytes_tensor([text.encode() for text in texts])
    for request in ((json_request("BYTES", [2], texts), None), binary_request("BYTES", [2, 1], raw)):
        status, reply, _ = send(conn, "/v2/models/greetings/infer", *request)
        assert (status, reply["outputs"][0]["data"]) == (200, ["Ann is 30", "Bo is 4"])
    _, reply, _ = send(conn, "/v2/models/json/infer", json_request("BYTES", [2], texts))
    assert [json.loads(text)["value"] for text in reply["outputs"][0]["data"]] == records
    many = json_request("BYTES", [5_000], [texts[0]] * 5_000)
    assert send(conn, "/v2/models/greetings/infer", many)[1]["outputs"][0]["data"] == ["Ann is 30"] * 5_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (['{"name": "Ann", "age": 30}', '{"name": "Bo", "age": "4"}'], "at `data[1].age`"),
        (['{"name": "Ann", "age": 30}', "spam"], "at `data[1]`"),
        (['{"name": "Ann", "age": 30}'] * 4_000 + ['{"name": "Bo"}'], "at `data[4000]`"),
        ([json.dumps({"name": "a" * 70_000, "age": 1})], "send it to predict"),
    ],
    ids=["field", "no JSON", "many", "large"],
)
def test_wrong_records_are_refused_by_position(conn: ClipperConnection, data: list[str], words: str) -> None:
    status, reply, _ = send(conn, "/v2/models/greetings/infer", json_request("BYTES", [len(data)], data))
    assert (status, list(reply)) == (400, ["error"])
    assert words in reply["error"]
    assert "input_batch" not in reply["error"]


def test_outputs_are_binary_if_asked_for(conn: ClipperConnection) -> None:
    values = np.arange(6.0).reshape(3, 2)
    outputs = [{"name": "output", "parameters": {"binary_data": True}}, {"name": "default"}]
    request = binary_request("FP64", [3, 2], values.tobytes(), outputs=outputs, id="é")
    status, reply, raw = send(conn, "/v2/models/sums/infer", *request)
    assert status == 200
    assert reply == {
        "model_name": "sums",
        "model_version": "1",
        "id": "é",
        "outputs": [
            {"name": "output", "datatype": "FP64", "shape": [3], "parameters": {"binary_data_size": 24}},
            {"name": "default", "datatype": "BOOL", "shape": [3], "data": [False] * 3},
        ],
    }
    assert np.frombuffer(raw).tolist() == values.sum(axis=1).tolist()
    _, reply, raw = send(
        conn, "/v2/models/strings/infer", *binary_request("BYTES", [0], b"", parameters={"binary_data_output": True})
    )
    assert (reply["outputs"][0]["shape"], raw) == ([0], b"")


def test_body_of_raw_bytes_is_one_input(conn: ClipperConnection) -> None:
    status, reply, raw = send(conn, "/v2/models/sums/infer", struct.pack("<3d", 1, 2, 4), b"0")
    assert (status, reply["outputs"][0]["shape"], struct.unpack("<d", raw)) == (200, [1], (7.0,))


def test_version_in_the_path_answers(conn: ClipperConnection) -> None:
    _, reply, _ = send(conn, "/v2/models/sums/versions/2/infer", json_request("FP64", [1, 1], [3.0]))
    assert (reply["model_name"], reply["model_version"], reply["outputs"][0]["data"]) == ("sums", "2", [-3.0])


def test_bad_row_fails_alone_and_is_marked(conn: ClipperConnection) -> None:
    status, reply, _ = send(conn, "/v2/models/sums/infer", json_request("FP64", [3, 1], [1.0, -2.0, 3.0]))
    assert status == 200
    assert {output["name"]: output["data"] for output in reply["outputs"]} == {
        "output": [1.0, -1.0, 3.0],
        "default": [False, True, False],
        "default_reason": ["", "model_error", ""],
    }


def test_default_that_is_no_tensor_is_an_error(conn: ClipperConnection) -> None:
    status, reply, _ = send(conn, "/v2/models/lonely/infer", json_request("BYTES", [1], ["a"]))
    assert (status, list(reply)) == (503, ["error"])
    assert reply["error"].startswith("No connected models found for query: no model is linked")


@pytest.mark.parametrize("num_rows", [1, 300, 16_384])
def test_large_tensors_are_answered_in_order(conn: ClipperConnection, num_rows: int) -> None:
    values = np.random.default_rng(1).random((num_rows, 400_000 // num_rows))
    for request in (
        binary_request("FP64", list(values.shape), values.tobytes()),
        (json_request("FP64", list(values.shape), values.tolist()), None),
    ):
        status, reply, _ = send(conn, "/v2/models/sums/infer", *request)
        assert (status, len(reply["outputs"])) == (200, 1)
        np.testing.assert_allclose(reply["outputs"][0]["data"], values.sum(axis=1))


def test_body_larger_than_the_limit_is_refused(conn: ClipperConnection) -> None:
    address = conn.get_query_addr()
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest("POST", "/v2/models/sums/infer")
    connection.putheader("Content-Length", str(2**40))
    connection.putheader("Inference-Header-Content-Length", str(2**39))
    connection.endheaders()
    reply = connection.getresponse()
    assert (reply.status, "error" in json.loads(reply.read())) == (413, True)
    connection.close()


def test_curl_can_ask(conn: ClipperConnection) -> None:
    url = f"http://{conn.get_query_addr()}/v2/models/sums/infer"
    body = json_request("FP64", [2, 2], [[1.0, 2.0], [3.0, 4.0]]).decode()
    said = subprocess.run(["curl", "-sS", url, "-d", body], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(said.stdout)["outputs"][0]["data"] == [3.0, 7.0]


# --- tokens


@pytest.mark.also_on_docker
def test_tokens_are_asked_for_as_for_predict() -> None:
    with running_cluster("local", query_token=True) as conn:
        create_endpoint(conn, "sums", "doubles", fail_on_negative, slo_micros=5_000_000)
        conn.register_application("other", "doubles", "0", 100_000)
        token = conn.create_token("sums", name="client")
        body = json_request("FP64", [1, 1], [3.0])
        mine, cluster = ({"Authorization": f"Bearer {text}"} for text in (token, conn.query_token))
        paths = ("/v2/models/sums", "/v2/models/sums/ready")
        for headers, statuses in (({}, [401] * 4), (mine, [200, 200, 401, 401]), (cluster, [200, 200, 503, 200])):
            assert send(conn, "/v2/models/sums/infer", body, **headers)[0] == statuses[0]
            assert {get(conn, path, **headers)[0] for path in paths} == {statuses[1]}
            assert get(conn, "/v2/models/other/ready", **headers)[0] == statuses[2]
            assert get(conn, "/v2/models", **headers)[0] == statuses[3]
            assert get(conn, "/v2/health/live", **headers)[0] == 200
        assert send(conn, "/v2/models/other/infer", body, **mine)[0] == 401
        conn.revoke_token("sums", "client")
        assert send(conn, "/v2/models/sums/infer", body, **mine)[0] == 401
        assert get(conn, "/v2/models/sums", **mine)[0] == 401
