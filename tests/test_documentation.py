"""The pages for users of other servers: their examples run, and each name that they promise exists."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, LocalContainerManager
from tests.support.clusters import running_cluster

PAGES = sorted((Path(__file__).parents[1] / "docs" / "coming-from").glob("*.md"))
NAMES = [page.stem for page in PAGES]


def examples_of(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_methods_in_the_tables_exist(page: Path) -> None:
    methods = set(re.findall(r"\bconn\.(\w+)", page.read_text()))
    assert methods
    conn = ClipperConnection(LocalContainerManager("never-started"))
    assert [name for name in methods if not hasattr(conn, name)] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_imports_in_the_tables_exist(page: Path) -> None:
    for module, names in re.findall(r"from (clipper_nb[\w.]*) import ([\w, ]+)", page.read_text()):
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster() as conn:
        yield conn


@pytest.mark.cluster
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_example_for_users_of_another_server_runs(page: Path, conn: ClipperConnection) -> None:
    exec(compile(examples_of(page), page.name, "exec"), {"__name__": "__main__", "conn": conn})
