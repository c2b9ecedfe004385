"""Clients that people have: tritonclient, MLServer's codecs and KServe's, in environments of their own.

They need other versions of protobuf, pandas and psutil than everything else here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.environments import make_environment

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker, pytest.mark.timeout(600)]

CLIENTS = Path(__file__).parents[1] / "v2_clients"
SUMS = [3.0, 7.5]


def sum_up(inputs: list) -> list:
    if any(x[0] < 0 for x in inputs):
        raise ValueError("negative")
    return [float(x.sum()) for x in inputs]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, query_token=True) as conn:
        create_endpoint(conn, "sums", "doubles", sum_up, default_output="0.0", slo_micros=5_000_000)
        create_endpoint(conn, "caps", "strings", lambda texts: [text.upper() for text in texts], slo_micros=5_000_000)
        create_endpoint(conn, "sizes", "bytes", lambda inputs: [len(x) for x in inputs], slo_micros=5_000_000)
        conn.register_application("lonely", "strings", "null", 100_000)
        yield conn


def run(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    """Return what a client's script printed."""
    command = [str(python), str(CLIENTS / script), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return told


def test_tritonclient_asks_in_binary_and_in_json(conn: ClipperConnection) -> None:
    told = run(make_environment("mlserver"), "ask_with_triton.py", conn.get_query_addr(), str(conn.query_token))
    failures = told.pop("failures")
    [output] = told.pop("response")["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}
    assert told.pop("metadata")["versions"] == ["1"]
    assert told == {
        "live": True,
        "ready": True,
        "models": [True, True, False, False, False],
        "extensions": ["binary_tensor_data"],
        "index": [["caps", "READY"], ["lonely", "UNAVAILABLE"], ["sizes", "READY"], ["sums", "READY"]],
        "sums": {"FP64": SUMS, "FP32": SUMS, "FP16": SUMS, "INT64": [3.0, 7.0], "UINT8": [3.0, 7.0]},
        "json": SUMS,
        "default": [False, False],
        "bytes": ["A", "É"],
        "images": [48, 48],
        "async": SUMS,
        "bad row": [False, True],
    }
    assert [status for status, _ in failures] == ["404", "404", "400", "400", "503", "400"]
    assert failures[1][1] == "Requested version: 9 does not exist for model: sums"


def test_tritonclient_with_an_applications_token(conn: ClipperConnection) -> None:
    """It may ask that application, also whether it is ready; the frontend is another matter."""
    token = conn.create_token("sums", name="triton")
    script = (
        "import sys, numpy, tritonclient.http as t;"
        "client = t.InferenceServerClient(sys.argv[1]);"
        "headers = {'Authorization': 'Bearer ' + sys.argv[2]};"
        "x = t.InferInput('x', [1, 2], 'FP64'); x.set_data_from_numpy(numpy.ones((1, 2)));"
        "print(client.infer('sums', [x], headers=headers).as_numpy('output').tolist(),"
        " client.is_model_ready('sums', headers=headers), client.is_model_ready('caps', headers=headers),"
        " client.is_server_ready(headers=headers))"
    )
    command = [str(make_environment("mlserver")), "-c", script, conn.get_query_addr(), token]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.strip() == "[2.0] True False False"


def test_codecs_of_mlserver_write_requests_and_read_replies(conn: ClipperConnection) -> None:
    told = run(make_environment("mlserver"), "ask_with_mlserver.py", conn.get_query_addr(), str(conn.query_token))
    status, error = told.pop("columns")
    assert (status, error.startswith("One input tensor is expected, got: 'a', 'b'.")) == (400, True)
    assert told == {
        "numbers": SUMS,
        "float32": SUMS,
        "one tensor": SUMS,
        "name": "sums",
        "texts": ["A", "É"],
        "texts by their content type": ["A", "É"],
        "bytes": [2, 3],
        "column": [1.0, 2.0],
    }


def test_kserves_client_asks_in_binary_and_in_json(conn: ClipperConnection) -> None:
    python = make_environment("kserve", CLIENTS, same=["numpy"])
    told = run(python, "ask_with_kserve.py", conn.get_query_addr(), str(conn.query_token))
    assert "404" in told.pop("unknown")
    assert "400" in told.pop("wrong")
    assert told == {
        "live": True,
        "ready": True,
        "model ready": True,
        "binary": SUMS,
        "JSON": SUMS,
        "FP16": SUMS,
        "texts": ["A", "É"],
    }
