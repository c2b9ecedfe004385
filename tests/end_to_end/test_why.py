"""``conn.why()``: what happened to a query, whichever of several query frontends answered it."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection, NotFoundError
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, http_request, kill, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    def patient(texts: list) -> list:
        import time

        if "slow" in texts:
            time.sleep(4.0)
        return [text.upper() for text in texts]

    with running_cluster(kind, num_frontend_replicas=2) as conn:
        create_endpoint(conn, "texts", "strings", patient, slo_micros=2_000_000, num_replicas=1)
        conn.register_application("alone", "strings", "none", 500_000)
        yield conn


def ask(conn: ClipperConnection, body: object, application: str = "texts", **headers: str) -> list[int]:
    """Send a request on a connection of its own; return the ids of its answers."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = http_request(conn.get_query_addr(), "POST", f"/{application}/predict", json.dumps(body), sent)[1]
    return [answer["query_id"] for answer in reply.get("batch_predictions", [reply])]


def test_history_tells_when_and_where_a_query_was_computed(conn: ClipperConnection) -> None:
    before = time.time()
    found = conn.why(ask(conn, {"input": "one"}, X_Request_Id="abc-1")[0])
    assert (found.application, found.model, found.reason, found.request_id) == ("texts", "texts:1", None, "abc-1")
    assert found.batch_size == 1
    assert found.replica_id is not None
    assert found.sent_after_s is not None
    assert 0 <= found.sent_after_s <= found.answered_after_s < 2.0
    assert before - 1 <= found.received_at <= time.time() + 1
    assert "answered with the model's output" in str(found)


def test_ids_of_several_frontends_differ(conn: ClipperConnection) -> None:
    ids: list[int] = []
    frontends: set[str] = set()

    def have_both_answered() -> bool:
        with contextlib.ExitStack() as closing:  # side by side: one by one, the same frontend may take them all
            for _ in range(16):
                connection = http.client.HTTPConnection(conn.get_query_addr(), timeout=20)
                closing.callback(connection.close)
                connection.request("POST", "/texts/predict", json.dumps({"input": f"text {len(ids)}"}))
                ids.append(json.load(connection.getresponse())["query_id"])
        frontends.update(conn.why(query_id).frontend_id for query_id in ids)
        return len(frontends) == 2

    eventually(have_both_answered, within_s=30, what="both query frontends have answered some")
    assert len(set(ids)) == len(ids)


def test_answer_of_predict_is_a_query_too(conn: ClipperConnection) -> None:
    first = conn.predict("texts", "again")
    again = conn.predict("texts", "again")
    assert not conn.why(first).is_from_cache
    assert conn.why(again).query_id == again.query_id


@pytest.mark.parametrize("texts", [["v2"], ["v2 one", "v2 two"]])
def test_inference_request_is_told_as_well(conn: ClipperConnection, texts: list[str]) -> None:
    tensor = {"name": "input", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    path, sent = "/v2/models/texts/infer", {"X-Request-Id": "abc-2"}
    reply = http_request(conn.get_query_addr(), "POST", path, json.dumps({"inputs": [tensor]}), sent)[1]
    found = conn.why(int(reply["id"]))
    assert (found.application, found.model, found.reason, found.request_id) == ("texts", "texts:1", None, "abc-2")


def test_default_output_is_told_with_its_reason(conn: ClipperConnection) -> None:
    slow = conn.why(ask(conn, {"input": "slow"})[0])
    assert (slow.reason, slow.batch_size) == ("model_too_slow", 1)
    assert slow.answered_after_s < 4.0  # before the model was done
    alone = conn.why(ask(conn, {"input": "x"}, "alone")[0])
    assert (alone.model, alone.reason, alone.sent_after_s) == (None, "not_linked", None)


def test_inputs_of_a_large_request_are_kept_too(conn: ClipperConnection) -> None:
    ids = ask(conn, {"input_batch": [f"input {number}" for number in range(600)]})
    first, last = conn.why(ids[0]), conn.why(ids[-1])
    assert (first.application, last.application) == ("texts", "texts")
    assert 0 <= first.queued_after_s < last.queued_after_s <= last.answered_after_s


def test_query_that_no_frontend_keeps_is_not_found(conn: ClipperConnection) -> None:
    with pytest.raises(NotFoundError, match="No query frontend knows what happened to query 123456789"):
        conn.why(123456789)


def test_management_frontend_that_was_restarted_asks_too(conn: ClipperConnection) -> None:
    (query_id,) = ask(conn, {"input": "before"})
    kill(conn, "management_frontend")
    assert conn.why(query_id).application == "texts"
