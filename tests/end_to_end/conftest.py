"""Clusters of both kinds: one for a whole file where tests do not disturb each other, and one per test where they do.

Every test that asks for one of these fixtures runs twice, against processes and against containers, which behave alike.
A file about one kind alone overrides ``kind``.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection
from tests.support.clusters import running_cluster


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def kind(request: pytest.FixtureRequest) -> str:
    """Which container manager runs the cluster."""
    return str(request.param)


@pytest.fixture(scope="module")
def shared(kind: str) -> Iterator[ClipperConnection]:
    """A cluster that a file's tests share; each uses names of its own."""
    with running_cluster(kind) as conn:
        yield conn


@pytest.fixture
def conn(kind: str) -> Iterator[ClipperConnection]:
    """A cluster of the test's own."""
    with running_cluster(kind) as conn:
        yield conn


_R_VARIABLES: dict[str, str] = {}


@pytest.fixture
def shell(shared: ClipperConnection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A notebook's shell with the magics, whose variable ``conn`` is the cluster."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    shell.run_line_magic("load_ext", "clipper_nb")
    shell.user_ns.update(conn=shared, factor=10)
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


@pytest.fixture(scope="module")
def r() -> Iterator[Any]:
    """R in this process, as in a notebook; its tests alone see what it puts into the environment when it starts."""
    before = dict(os.environ)
    from rpy2.robjects import r

    _R_VARIABLES.update({name: value for name, value in os.environ.items() if before.get(name) != value})
    os.environ.update(_R_VARIABLES)
    yield r
    os.environ.clear()
    os.environ.update(before)
