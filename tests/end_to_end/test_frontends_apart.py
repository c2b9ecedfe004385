"""Query frontends as separate pods have them, in processes of this machine: what one has counted outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb.clients.metrics_text import parse_samples
from clipper_nb.protocol import environment
from clipper_nb.protocol.records import Configuration
from clipper_nb.runtime.state.redis_store import RedisStore
from tests.support.clusters import eventually, http_request
from tests.support.records import make_application
from tests.support.redis_servers import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.slow]


class Frontend:
    """A process of a query frontend; its predecessor in the same pod had the same name."""

    def __init__(self, redis_url: str, name: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as rpc:
            self.address = f"127.0.0.1:{http.getsockname()[1]}"
            variables = {
                environment.REDIS_URL: redis_url,
                environment.FRONTEND_ID: name,
                environment.FRONTENDS_ARE_APART: "1",
                environment.HTTP_SOCKET: str(http.fileno()),
                environment.RPC_SOCKET: str(rpc.fileno()),
            }
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clipper_nb.runtime.query_frontend"],
                env={**os.environ, **variables}, pass_fds=[http.fileno(), rpc.fileno()], stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self.query(0)

    def query(self, number: int) -> None:
        """Send so many queries, after it has begun to serve; they get the default output, for there is no model."""
        eventually(lambda: http_request(self.address, "GET", "/livez")[0] == 200, within_s=30, what="it serves")
        for value in range(number):
            status, _ = http_request(self.address, "POST", "/app/predict", json.dumps({"input": f"query {value}"}))
            assert status == 200

    def sum(self) -> float:
        """Return how many queries all frontends have answered, as this one knows it."""
        status, text = http_request(self.address, "GET", "/metrics?of=cluster")
        assert status == 200
        return sum(value for name, _, value in parse_samples(str(text)) if name == "clipper_app_queries_total")

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(timeout=30)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis with one application."""

    async def register(url: str) -> None:
        store = RedisStore(url)
        await store.update_configuration(lambda _: Configuration(applications={"app": make_application("app")}))
        await store.close()

    with tempfile.TemporaryDirectory(prefix="apart-") as folder:
        server = RedisServer(Path(folder, "r"))
        server.start()
        try:
            asyncio.run(register(server.url))
            yield server.url
        finally:
            server.kill()


def num_kept(url: str) -> int:
    async def read() -> int:
        store = RedisStore(url)
        kept = await store.counts.read()
        await store.close()
        return len(kept)

    return asyncio.run(read())


def test_counts_outlive_frontends_that_are_killed_or_end(redis_url: str) -> None:
    with contextlib.ExitStack() as started:

        def start(name: str) -> Frontend:
            frontend = Frontend(redis_url, name)
            started.callback(frontend.process.wait)
            started.callback(frontend.process.kill)
            return frontend

        one, other = start("one"), start("other")
        one.query(5)
        other.query(3)
        assert one.sum() == other.sum() == 8
        one.end(signal.SIGKILL)
        assert other.sum() == 8
        again = start("one")
        assert again.sum() == 8
        again.query(2)
        again.end(signal.SIGTERM)  # nobody has asked for these
        assert other.sum() == 10
        last = start("last")
        last.query(1)
        assert other.sum() == last.sum() == 11
        assert num_kept(redis_url) == 3, "the sum of what ended, and two that run"
