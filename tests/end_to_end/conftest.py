"""Embedded clusters: one for a whole file where tests do not disturb each other, and one per test where they do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection
from tests.support.clusters import running_cluster


@pytest.fixture(scope="module")
def shared() -> Iterator[ClipperConnection]:
    """A cluster that a file's tests share; each uses names of its own."""
    with running_cluster() as conn:
        yield conn


@pytest.fixture
def conn() -> Iterator[ClipperConnection]:
    """A cluster of the test's own."""
    with running_cluster() as conn:
        yield conn
