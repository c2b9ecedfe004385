"""States of every kind of store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stores import OpenState, state_in_memory, state_in_redis


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def store(request: pytest.FixtureRequest) -> Iterator[OpenState]:
    """An empty state of every kind of store."""
    yield from state_in_memory() if request.param == "memory" else state_in_redis()


@pytest.fixture
def redis_state() -> Iterator[OpenState]:
    """An empty state in Redis, with its server."""
    yield from state_in_redis()
