"""Large requests beside small ones: the small ones hardly notice, and nothing is kept of those that are over."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from tests.end_to_end.test_bad_clients import connect, request
from tests.support.clusters import eventually, http_request, pid_of, running_cluster
from tests.support.load import Load

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

SLO_S = 0.1
MIB = 2**20
NUM_CLIENTS = 8
LONGEST_TURN_MS = 15.0
"""Of the event loop, on the processor. It should be 5; a machine that is busy with other things makes it more."""


@pytest.fixture(scope="module")
def long_turns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the frontend of ``conn`` notes what takes long."""
    return tmp_path_factory.mktemp("turns") / "long"


@pytest.fixture(scope="module")
def conn(long_turns: Path) -> Iterator[ClipperConnection]:
    """A cluster with a model that two applications share, and one that hangs."""
    watch = str(Path(__file__).parents[1] / "support" / "long_turns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONG_TURNS", str(long_turns))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [watch, os.environ.get("PYTHONPATH")])))
        with running_cluster("local") as conn:
            create_endpoint(conn, "small", "doubles", lambda xs: [x[0] for x in xs], slo_micros=int(SLO_S * 1e6))
            conn.set_num_replicas("small", 2)
            conn.register_application("big", "doubles", "-1", slo_micros=int(SLO_S * 1e6))
            conn.link_model_to_app("big", "small")

            def hang(xs: list[object]) -> list[int]:
                import time

                time.sleep(0 if len(xs[0]) < 10 else 9)  # type: ignore[arg-type]
                return [0] * len(xs)

            create_endpoint(conn, "hanging", "doubles", hang, slo_micros=20_000_000)
            yield conn


def value(conn: ClipperConnection, name: str, **labels: str) -> float:
    """Return one of the query frontend's metrics."""
    _, text = http_request(conn.get_query_addr(), "GET", "/metrics")
    series = name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"
    return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(series))


def test_small_queries_are_answered_in_time_beside_large_ones(conn: ClipperConnection, long_turns: Path) -> None:
    chance = random.Random(3)
    bodies = [
        json.dumps({"input": [chance.random() for _ in range(780_000)]}),
        json.dumps({"input_batch": [[chance.random()] * 4 for _ in range(MAX_BATCH_INPUTS)]}),
        '{"input":[' + "1," * 7_500_000 + "1]}",
        json.dumps({"input_batch": [[chance.random()] * 44 for _ in range(MAX_BATCH_INPUTS)]}),
    ]
    slowest_ms: dict[str, list[float]] = {body: [] for body in bodies}
    with Load(conn.get_query_addr(), "small", num_clients=NUM_CLIENTS) as load:
        load.wait_for(100)
        for number in range(3 * len(bodies)):
            began_s = time.monotonic()
            body = bodies[number % len(bodies)]
            long_turns.write_text("")
            status, reply = http_request(conn.get_query_addr(), "POST", "/big/predict", body)
            assert status == 200
            answers = reply.get("batch_predictions", [reply])
            assert len(answers) == (1 if number % 2 == 0 else MAX_BATCH_INPUTS)
            assert {answer.get("default_reason") for answer in answers} <= {None, "queued_too_long", "model_too_slow"}
            time.sleep(max(0.0, began_s + 0.7 - time.monotonic()))
            slowest_ms[body].append(max(map(float, long_turns.read_text().split()), default=0.0))
        load.wait_for(100)
    assert all(reply.status == 200 for reply in load.replies)
    num_real = sum(reply.body["output"] == reply.value for reply in load.replies)
    num_late = len(load.replies) - value(conn, "clipper_app_lateness_seconds_bucket", app="small", le="0.02")
    # None, where the machine is not busy. A stall delays what is under way, one query of each client; a large body that
    # does would do so twelve times.
    assert num_real >= 0.99 * len(load.replies) - 4 * NUM_CLIENTS
    assert num_late <= 0.002 * len(load.replies) + 4 * NUM_CLIENTS
    # A body that takes too long does so each time, a disturbance of the machine does not come with each.
    assert max(map(min, slowest_ms.values())) < LONGEST_TURN_MS


def test_large_bodies_are_freed_when_their_clients_leave(conn: ClipperConnection) -> None:
    body = b'{"input":[' + b"0.123456789," * 1_300_000 + b"1]}"
    frontend = psutil.Process(pid_of(conn, "query_frontend"))
    before_bytes = frontend.memory_info().rss
    clients = []
    for number in range(8):
        client = connect(conn)
        clients.append(client)
        client.sendall(request(body.replace(b"1]", b"%d]" % number), "hanging"))
    eventually(lambda: frontend.memory_info().rss > before_bytes + 70 * MIB, within_s=20, what="the inputs wait")
    for client in clients:
        client.close()
    # The replica has one of them, and is sent another.
    eventually(lambda: frontend.memory_info().rss < before_bytes + 40 * MIB, within_s=8, what="their memory is free")
