"""Traffic for one application from clients in a process of their own, and what became of it.

.. code-block:: python

    with Traffic(conn.get_query_addr(), "app", default_output=-1) as traffic:
        peak = traffic.run_closed(num_clients=32, duration_s=3).goodput
        report = traffic.run_open(rate=3 * peak, duration_s=5)

The model must answer with its input's first number plus the number of its version, as ``plus_version`` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

DEFAULT_OUTPUT = "-1"
NUM_OPEN_CONNECTIONS = 512
"""Of an open loop: more than queries are ever under way, so that none waits for a connection."""

_BENCHMARKS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Report:
    """What became of the queries of one run. Latencies are as the clients saw them, from when a query was due."""

    duration_s: float
    """While queries were sent."""
    num_sent: int
    num_answered: int
    num_predictions: int
    defaults: dict[str, int]
    """Default outputs by their reason."""
    num_errors: int
    """Replies other than 200."""
    num_wrong: int
    """Replies of another query, of a version that was not current, or that are no replies at all."""
    num_lost: int
    num_tried_again: int
    """Times that a connection was closed before a byte of the reply came, so that the query was sent again."""
    num_silent: int
    """Times that a connection said nothing for too long, and was closed by the client; with *patience_s* only."""
    latency: dict[str, float]
    """``p50_ms``, ``p99_ms``, ``p999_ms`` and ``max_ms`` of the queries that were sent once."""
    latency_tried_again: dict[str, float]
    num_above_ms: dict[str, int]
    slowest_at_s: float
    """When the slowest of these replies came, on the monotonic clock that all processes share."""
    longest_lag_ms: float
    """How late the clients were in sending what was due: much of it means that they or the machine were too slow."""
    num_sent_late: int
    """Queries that were sent more than 5 ms after they were due."""
    cpu_share: float
    """Cores that the clients used."""
    examples: list[str]
    """The first few things that went wrong."""

    @property
    def goodput(self) -> float:
        """Predictions per second."""
        return self.num_predictions / self.duration_s

    @property
    def num_defaults(self) -> int:
        """Default outputs."""
        return sum(self.defaults.values())

    @property
    def num_failed(self) -> int:
        """Queries that were lost, answered wrong or refused."""
        return self.num_wrong + self.num_lost + self.num_errors


class Traffic:
    """Clients that check every reply; a context manager.

    Parameters
    ----------
    address : str
        ``host:port`` of the query frontend.
    application : str
        Of input type doubles, with ``DEFAULT_OUTPUT``.
    limits_ms : list of float
        Latencies above which replies are counted, in ``Report.num_above_ms``.
    patience_s : float, optional
        Seconds after which a connection that says nothing is closed.
    """

    def __init__(
        self, address: str, application: str, *, limits_ms: Sequence[float] = (), patience_s: float | None = None
    ) -> None:
        options = {
            "address": address,
            "application": application,
            "default_output": float(DEFAULT_OUTPUT),
            "limits_ms": list(limits_ms),
            "patience_s": patience_s,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "load.clients", json.dumps(options)],
            cwd=_BENCHMARKS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Traffic:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def run_closed(self, *, num_clients: int, duration_s: float) -> Report:
        """Let clients ask one query after the other, and return what became of them."""
        self._tell("run", num_connections=num_clients, duration_s=duration_s, rate=None)
        return self.finish()

    def run_open(self, *, rate: float, duration_s: float) -> Report:
        """Ask *rate* queries a second at random instants, whatever the replies, and return what became of them."""
        self.start_open(rate=rate, duration_s=duration_s)
        return self.finish()

    def start_open(self, *, rate: float, duration_s: float) -> None:
        """As ``run_open``, but return at once; ``finish`` gives the report."""
        self._tell("run", num_connections=NUM_OPEN_CONNECTIONS, duration_s=duration_s, rate=rate)

    def expect(self, *versions: int) -> None:
        """When this returns, queries sent from now on may be answered by these versions and by no other."""
        self._tell("expect", versions=versions)
        self._hear("expecting")

    def look(self) -> Report:
        """Return what became of the queries so far of a run that was started."""
        self._tell("look")
        return Report(**self._hear("so_far"))

    def finish(self) -> Report:
        """Wait for the end of a run that was started, and return what became of its queries."""
        return Report(**self._hear("report"))

    def _tell(self, command: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()

    def _hear(self, key: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("The clients ended; see what they wrote above.")
        return json.loads(line)[key]


def plus_version(version: int, *, batch_s: float, each_s: float = 0.0) -> Callable[[list[Any]], list[float]]:
    """Return a model that takes a while for each batch and each input in it, asleep: it is never short of a core."""

    def predict(inputs: list[Any]) -> list[float]:
        time.sleep(batch_s + each_s * len(inputs))
        return [x[0] + version for x in inputs]

    return predict
