"""Large inputs reach replicas of the same machine through memory: each gets its own, whatever happens beside it."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import running_cluster

pytestmark = pytest.mark.cluster

NUM_CLIENTS = 8
LARGEST_SIZES_BYTES = (300_000, 300_000, 300_000, 300_000, 10_000_000)


def describe(inputs: list) -> list:
    """Return who was asked, and a digest of what."""
    return [{"pid": os.getpid(), "digest": hashlib.sha256(x).hexdigest()} for x in inputs]


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster("local", num_frontend_replicas=2, cache_size=0) as conn:
        create_endpoint(conn, "digests", "bytes", describe, slo_micros=20_000_000)
        conn.set_num_replicas("digests", 2)
        yield conn


def ask(conn: ClipperConnection, number: int) -> int:
    """Ask with an input of one's own, of any size; return the process that answered."""
    draw = random.Random(number)
    content = draw.randbytes(draw.randint(1, draw.choice(LARGEST_SIZES_BYTES)))
    prediction = conn.predict("digests", content)
    assert not prediction.default, prediction
    assert prediction.output["digest"] == hashlib.sha256(content).hexdigest(), len(content)
    return int(prediction.output["pid"])


def test_each_gets_its_own_input_through_memory(conn: ClipperConnection) -> None:
    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        asked = set(clients.map(lambda number: ask(conn, number), range(100)))
    assert len(asked) == 2
    for pid in asked:
        assert "clipper-inputs" in Path(f"/proc/{pid}/maps").read_text()


def test_a_killed_replica_takes_no_input_with_it(conn: ClipperConnection) -> None:
    victim = ask(conn, 1)
    with ThreadPoolExecutor(NUM_CLIENTS) as clients:
        answers = clients.map(lambda number: ask(conn, number), range(100))
        next(answers)
        os.kill(victim, signal.SIGKILL)
        assert set(answers) - {victim}
