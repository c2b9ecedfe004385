"""How a replica is told to leave."""

from __future__ import annotations

import select
import signal

import pytest

from clipper_nb.runtime.model_container.client import _wake_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_replica_without_raising_in_the_model(number):
    stopped = []
    handler = signal.getsignal(number)
    with _wake_on_signals(lambda: stopped.append(True)) as wake_fd:
        signal.raise_signal(number)
        assert select.select([wake_fd], [], [], 5)[0] == [wake_fd]
    assert stopped == [True]
    assert signal.getsignal(number) is handler
