"""``X-Request-Id`` and ``traceparent`` of a request, up to the log lines of the model that answers it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, http_request, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    def careful(texts: list) -> list:
        import logging

        for text in texts:
            logging.getLogger("careful").warning("saw %s", text)
        if "bad" in texts:
            raise ValueError("a bad text")
        return texts

    with running_cluster(kind) as conn:
        create_endpoint(conn, "texts", "strings", careful, slo_micros=10_000_000)
        yield conn


def ask(conn: ClipperConnection, body: object, **headers: str) -> None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    assert http_request(conn.get_query_addr(), "POST", "/texts/predict", json.dumps(body), sent)[0] == 200


def lines(conn: ClipperConnection, folder: Path, marks: list[str]) -> list[str]:
    """Return the first line of the logs with each mark, once all are there."""

    def read() -> list[str]:
        texts = [Path(path).read_text(errors="replace") for path in conn.get_clipper_logs(str(folder))]
        return [line for mark in marks for line in "\n".join(texts).splitlines() if mark in line][: len(marks)]

    eventually(lambda: len(read()) == len(marks), within_s=20, what=f"lines with {marks}")
    return read()


def test_lines_of_the_model_name_the_request(conn: ClipperConnection, tmp_path: Path) -> None:
    ask(conn, {"input": "first"}, X_Request_Id="abc-1", traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01")
    ask(conn, {"input": "second"})
    first, second = lines(conn, tmp_path, ["saw first", "saw second"])
    assert first.endswith(f"WARNING careful: [request abc-1 trace {TRACE_ID}] saw first")
    assert second.endswith("WARNING careful: saw second")


def test_line_of_a_failure_names_the_request(conn: ClipperConnection, tmp_path: Path) -> None:
    ask(conn, {"input": "bad"}, X_Request_Id="abc-2")
    (line,) = lines(conn, tmp_path, ["the model failed"])
    assert "[request abc-2] the model failed on a batch of 1" in line


def test_large_request_is_named_too(conn: ClipperConnection, tmp_path: Path) -> None:
    ask(conn, {"input_batch": [f"text {number}" for number in range(600)]}, X_Request_Id="abc-3")
    (line,) = lines(conn, tmp_path, ["saw text 599"])
    assert "abc-3" in line
