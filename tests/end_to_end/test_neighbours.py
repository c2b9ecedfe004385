"""One query's bad input, endless call or forgotten children cost the queries beside it next to nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.protocol.containers import ObservedContainer
from tests.support.clusters import eventually, observe, query, running_cluster

pytestmark = pytest.mark.cluster

NUM_CLIENTS = 8
BAD_EVERY = 50
SLO_MICROS = 3_000_000
HANG_TIMEOUT_S = 1.0
HANGS = -1.0


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster(cache_size=0) as running:
        yield running


def ask(conn: ClipperConnection, application: str, value: float) -> dict:
    return query(conn, application, {"input": [value]})[1]


def count(conn: ClipperConnection, metric: str, model: str) -> float:
    return sum(series["value"] for series in conn.inspect_instance()[metric] if series["labels"]["model"] == model)


def replicas_of(conn: ClipperConnection, model: str) -> list[str]:
    return [name for name in conn.get_all_model_replicas() if name.startswith(f"{model}:")]


def processes_of(conn: ClipperConnection, model: str) -> list[ObservedContainer]:
    return [replica for replica in observe(conn, "replica") if replica.model == f"{model}:1"]


def stop_quickly(conn: ClipperConnection, model: str) -> None:
    started_s = time.monotonic()
    conn.stop_models([model])
    assert time.monotonic() - started_s < 9.5, "the replica ends by itself, before it would be killed after 10 s"


def test_every_other_query_gets_its_answer_beside_bad_inputs(conn):
    def predict(inputs: list) -> list:
        time.sleep(0.005)
        for x in inputs:
            if x[0] % BAD_EVERY == 0:
                raise ValueError(f"{x[0]} is bad")
        return [x[0] + 0.5 for x in inputs]

    create_endpoint(conn, "fifty", "doubles", predict, slo_micros=SLO_MICROS)
    values = [float(value) for value in range(1, 8 * BAD_EVERY + 1)]
    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        replies = list(clients.map(lambda value: ask(conn, "fifty", value), values))
    for value, reply in zip(values, replies, strict=True):
        if value % BAD_EVERY:
            assert reply["output"] == value + 0.5, reply
            assert not reply["default"]
        else:
            assert reply["default_reason"] == "model_error"
            assert f"{value} is bad" in reply["default_explanation"]
    assert count(conn, "clipper_model_errors_total", "fifty") == len(values) / BAD_EVERY
    assert count(conn, "clipper_model_isolated_total", "fifty") > 0, "there were batches"


def test_one_batch_with_bad_inputs_or_all_of_them(conn):
    calls = []

    def predict(inputs: list) -> list:
        calls.append(len(inputs))
        if any(x[0] < 0 for x in inputs):
            raise ValueError(str(len(calls)))
        return [x[0] for x in inputs]

    create_endpoint(conn, "batch", "doubles", predict, slo_micros=SLO_MICROS, batch_size=64)
    values = [float(value) for value in range(64)]
    values[5], values[60] = -5.0, -60.0
    _, body = query(conn, "batch", {"input_batch": [[value] for value in values]})
    replies = body["batch_predictions"]
    # Before it has answered anything, a model is given up when it fails on both halves.
    assert {reply.get("default_reason") for reply in replies} == {"model_error"}
    assert ask(conn, "batch", 1.0)["output"] == 1.0
    _, body = query(conn, "batch", {"input_batch": [[value] for value in values]})
    answers = [reply["output"] if not reply["default"] else None for reply in body["batch_predictions"]]
    assert answers == [value if value >= 0 else None for value in values]


def test_a_whole_batch_fails_without_isolation(conn):
    def predict(inputs: list) -> list:
        return [1 / x[0] for x in inputs if x[0] or 1 / 0]

    create_endpoint(
        conn, "whole", "doubles", predict, slo_micros=SLO_MICROS, batch_size=4, isolate_errors=False,
        hang_timeout_s=None,
    )  # fmt: skip
    assert ask(conn, "whole", 1.0)["output"] == 1.0
    _, body = query(conn, "whole", {"input_batch": [[1.0], [0.0], [2.0]]})
    assert [reply["default"] for reply in body["batch_predictions"]] == [True] * 3
    info = conn.get_model_info("whole", 1)
    assert (info["isolate_errors"], info["hang_timeout_s"]) == (False, None)


def test_replica_that_hangs_is_replaced_while_another_answers(conn):
    def predict(inputs: list) -> list:
        if any(x[0] == HANGS for x in inputs):
            time.sleep(3600)
        return [x[0] for x in inputs]

    create_endpoint(
        conn, "hangs", "doubles", predict, slo_micros=300_000, num_replicas=2, hang_timeout_s=HANG_TIMEOUT_S
    )
    for number in (1, 2):
        assert ask(conn, "hangs", HANGS)["default_reason"] == "model_too_slow"
        stop = time.monotonic() + HANG_TIMEOUT_S
        others = []
        while time.monotonic() < stop:
            others.append(ask(conn, "hangs", 1.0))
        answered = [reply for reply in others if not reply["default"]]
        assert len(others) - len(answered) <= 1 + 0.02 * len(others), "the other replica answers"
        eventually(
            lambda number=number: count(conn, "clipper_model_hung_replicas_total", "hangs") == number,
            within_s=20, what="it is found",
        )  # fmt: skip
        eventually(lambda: len(replicas_of(conn, "hangs")) == 2, within_s=15, what="it is back")
    assert sum(replica.num_exits for replica in processes_of(conn, "hangs")) == 2
    reply = ask(conn, "hangs", HANGS)
    assert reply["default_reason"] == "model_error"
    assert "is not computed again" in reply["default_explanation"]
    logs = [path.read_text() for path in conn.cm._folder.logs_path.glob("*hangs*.log")]
    assert any("clipper_nb ends this replica: it has been busy" in log and "in predict" in log for log in logs)


def test_replica_that_keeps_the_interpreters_lock_is_replaced(conn):
    def shorten_the_limit() -> None:
        from clipper_nb.runtime.model_container import lock_timer

        lock_timer.SILENCE_TIMEOUT_S = lock_timer._MARGIN_S = 0.0  # the hang timeout alone is left

    def predict(inputs: list) -> list:
        return [sum(range(10**11)) if x[0] == HANGS else x[0] for x in inputs]

    create_endpoint(
        conn, "holds", "doubles", predict, slo_micros=100_000, hang_timeout_s=HANG_TIMEOUT_S, setup=shorten_the_limit
    )
    assert ask(conn, "holds", HANGS)["default_reason"] == "model_too_slow"
    eventually(lambda: ask(conn, "holds", 1.0)["output"] == 1.0, within_s=20, what="it is back")
    (replica,) = processes_of(conn, "holds")
    assert (replica.num_exits, replica.exit_status) == (1, signal.SIGVTALRM)
    (log,) = [path.read_text() for path in conn.cm._folder.logs_path.glob("*holds*.log")]
    assert "in predict" in log


def test_pool_is_left_while_its_task_runs(conn):
    def predict(inputs: list) -> list:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            pool.apply_async(time.sleep, (3600,))
            time.sleep(0.05)
        return [x[0] for x in inputs]

    create_endpoint(conn, "pool", "doubles", predict, slo_micros=5_000_000)
    assert [ask(conn, "pool", value)["output"] for value in (1.0, 2.0)] == [1.0, 2.0]
    stop_quickly(conn, "pool")


def test_children_end_with_their_replica(conn):
    def predict(inputs: list) -> list:
        context = multiprocessing.get_context("fork")
        context.Process(target=time.sleep, args=(3600,)).start()
        return [x[0] for x in inputs]

    create_endpoint(conn, "children", "doubles", predict, slo_micros=5_000_000)
    assert ask(conn, "children", 1.0)["output"] == 1.0
    [before] = replicas_of(conn, "children")
    [process] = processes_of(conn, "children")
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: replicas_of(conn, "children") not in ([], [before]), within_s=15, what="the end was seen")
    assert ask(conn, "children", 2.0)["output"] == 2.0
    stop_quickly(conn, "children")
