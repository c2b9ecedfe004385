"""Four clients change the same few names at once while processes are killed: what they are told fits one order."""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection
from tests.end_to_end.cuts.faults import Killer
from tests.end_to_end.cuts.steps import AFTER, BEFORE, MANAGEMENT_KILLED, REDIS_KILLED
from tests.end_to_end.linearizability.admin_model import apply
from tests.end_to_end.linearizability.checker import find_misfit
from tests.end_to_end.linearizability.clients import read_state, run_clients
from tests.end_to_end.linearizability.history import format_history
from tests.support.clusters import running_cluster
from tests.support.store_proxy import StoreProxy, store_proxy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

_NUM_CLIENTS, _CALLS_EACH = 4, 12
_FIRST_SEED = int(os.environ.get("CUTS_SEED", "1"))
_LAST_FAULT_AT = 9
_CONNECTION_BROKEN = "connection broken"


class _FaultsAtWrites:
    """Breaks the way to Redis, or kills a process, at some of the writes, before or after Redis has them."""

    def __init__(self, killer: Killer, chance: random.Random) -> None:
        self._killer = killer
        self._lock = threading.Lock()
        self._num_writes = 0
        faults = [_CONNECTION_BROKEN, _CONNECTION_BROKEN, MANAGEMENT_KILLED, REDIS_KILLED]
        chance.shuffle(faults)
        writes = chance.sample(range(1, _LAST_FAULT_AT + 1), len(faults))
        self._faults = {
            (write, chance.choice([BEFORE, AFTER])): fault for write, fault in zip(writes, faults, strict=True)
        }
        self.happened: list[str] = []

    def on_write(self, label: str, moment: str) -> bool:
        """Return whether the connection of the management frontend breaks here."""
        with self._lock:
            self._num_writes += moment == BEFORE
            fault = self._faults.pop((self._num_writes, moment), None)
            if fault is None:
                return False
            self.happened.append(f"{fault} {moment} write {self._num_writes}")
            if fault != _CONNECTION_BROKEN:
                self._killer.kill(fault)
            return True


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[ClipperConnection, StoreProxy, Killer]]:
    """A cluster whose histories follow each other, each from what the one before has left."""
    with (
        tempfile.TemporaryDirectory(prefix="cuts-") as folder,
        running_cluster("local") as conn,
        store_proxy(conn, Path(folder)) as proxy,
    ):
        yield conn, proxy, Killer(conn)


@pytest.mark.parametrize("seed", range(_FIRST_SEED, _FIRST_SEED + 5))
def test_client_replies_fit_one_order(cluster: tuple[ClipperConnection, StoreProxy, Killer], seed: int) -> None:
    conn, proxy, killer = cluster
    time.sleep(max(0.0, killer.wait_s(MANAGEMENT_KILLED), killer.wait_s(REDIS_KILLED)))
    faults = _FaultsAtWrites(killer, random.Random(seed))
    initial = read_state(conn)
    proxy.on_write = faults.on_write
    try:
        calls = run_clients(conn, num_clients=_NUM_CLIENTS, calls_each=_CALLS_EACH, seed=seed)
    finally:
        proxy.on_write = lambda label, moment: False
    assert len(faults.happened) >= 2, faults.happened
    assert len(calls) >= _NUM_CLIENTS * _CALLS_EACH // 2
    misfit = find_misfit(calls, initial, apply)
    told = f"seed {seed}, {faults.happened}, from {initial}:\n{format_history(calls)}"
    assert misfit is None, f"{told}\nThe first that does not fit: {misfit}"
