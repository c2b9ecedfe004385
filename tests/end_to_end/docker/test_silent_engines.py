"""A Docker Engine that is not there or does not answer is said to be so, soon."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, DockerContainerManager, EngineUnreachableError
from clipper_nb.images import docker_engine
from tests.support.clusters import new_cluster_name

pytestmark = pytest.mark.docker


def _try_everything(host: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Exception], float]:
    """Return what start, connect and stop raise with that engine, and how long the longest took."""
    monkeypatch.setenv("DOCKER_HOST", host)
    raised: list[Exception] = []
    started_s = time.monotonic()

    def call(method: Callable[[ClipperConnection], None]) -> None:
        try:
            method(ClipperConnection(DockerContainerManager(new_cluster_name())))
        except Exception as exc:
            raised.append(exc)

    methods = (ClipperConnection.start_clipper, ClipperConnection.connect, ClipperConnection.stop_all)
    threads = [threading.Thread(target=call, args=(method,)) for method in methods]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return raised, time.monotonic() - started_s


def _check_engine_errors(raised: list[Exception], host: str) -> None:
    assert [type(exc) for exc in raised] == [EngineUnreachableError] * 3
    for exc in raised:
        assert f"No Docker Engine answers at {host}" in str(exc)
        assert "set DOCKER_HOST" in str(exc)
        assert "LocalContainerManager()" in str(exc)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py's, of a client that came to nothing
def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = f"unix://{tmp_path}/nobody.sock"
    raised, waited_s = _try_everything(host, monkeypatch)
    _check_engine_errors(raised, host)
    assert waited_s < 10
    del raised
    gc.collect()  # here, where the warning does not count


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # docker-py's, of a client that came to nothing
def test_a_mute_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "_FIRST_ANSWER_TIMEOUT_S", 2.0)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{tmp_path}/mute.sock")
        mute.listen(16)
        host = f"unix://{tmp_path}/mute.sock"
        raised, waited_s = _try_everything(host, monkeypatch)
    _check_engine_errors(raised, host)
    assert waited_s < 20
    del raised
    gc.collect()  # here, where the warning does not count
