"""Redis is away for longer than a call is repeated: the call raises, and says what is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.errors import ClipperException
from tests.support.clusters import eventually, kill, running_cluster
from tests.support.store_proxy import StoreProxy, store_proxy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[ClipperConnection, StoreProxy]]:
    """A cluster whose way to Redis can be cut."""
    with (
        tempfile.TemporaryDirectory(prefix="cuts-") as folder,
        running_cluster("local") as conn,
        store_proxy(conn, Path(folder)) as proxy,
    ):
        yield conn, proxy


@pytest.mark.parametrize("moment", ["before", "after"])
def test_stored_change_is_not_reported_as_unchanged(cluster: tuple[ClipperConnection, StoreProxy], moment: str) -> None:
    conn, proxy = cluster

    def go_away(label: str, now: str) -> bool:
        if now == moment and not proxy.is_away:
            proxy.is_away = True
            kill(conn, "redis")
        return proxy.is_away

    proxy.on_write = go_away
    with pytest.raises(ClipperException) as told:
        conn.register_application(f"app-{moment}", "doubles", "default", 1_000_000)
    proxy.on_write = lambda label, now: False
    proxy.is_away = False
    eventually(lambda: _answers(conn), within_s=20, what="admin calls are answered again")
    was_stored = f"app-{moment}" in conn.get_all_apps()
    assert was_stored is (moment == "after")
    assert not (was_stored and "othing was changed" in told.value.msg), told.value.msg


def _answers(conn: ClipperConnection) -> bool:
    try:
        conn.get_all_apps()
    except ClipperException:
        return False
    return True
