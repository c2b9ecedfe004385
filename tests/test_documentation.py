"""The documentation: what its pages for users of other servers promise, and how markdown becomes the site's."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from clipper_nb import ClipperConnection, LocalContainerManager
from tests.support.clusters import running_cluster

CHECKOUT = Path(__file__).parents[1]
PAGES = sorted((CHECKOUT / "docs" / "coming-from").glob("*.md"))
NAMES = [page.stem for page in PAGES]


def examples_of(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_methods_in_the_tables_exist(page: Path) -> None:
    methods = set(re.findall(r"\bconn\.(\w+)", page.read_text()))
    assert methods
    conn = ClipperConnection(LocalContainerManager("never-started"))
    assert [name for name in methods if name not in dir(conn)] == []


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


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    found = importlib.util.spec_from_file_location("documentation", CHECKOUT / "scripts" / "documentation.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("link", "source", "page", "expected"),
    [
        ("[protocol](docs/protocol.md#rpc)", "README.md", "index.md", "[protocol](protocol.md#rpc)"),
        ("[one](../notebooks/01_quickstart.ipynb)", "docs/a.md", "a.md", "[one](tutorials/01_quickstart.md)"),
        ("[why](decisions/)", "docs/a.md", "a.md", "[why](decisions/index.md)"),
        ("[all](../../README.md)", "docs/decisions/0001-a.md", "decisions/0001-a.md", "[all](../index.md)"),
        ("[serve](../scripts/dist)", "docs/a.md", "a.md", "serve (`scripts/dist`)"),
        ("[none](none.md)", "docs/a.md", "a.md", "[none](none.md)"),
        ("[that](https://example.org/x)", "docs/a.md", "a.md", "[that](https://example.org/x)"),
        ("```\n[a](docs/b.md)\n```\n", "README.md", "index.md", "```\n[a](docs/b.md)\n```\n"),
        ("has:\n- one\n- two", "docs/a.md", "a.md", "has:\n\n- one\n- two"),
    ],
)
def test_markdown_becomes_that_of_the_site(hooks: ModuleType, link: str, source: str, page: str, expected: str) -> None:
    assert "".join(hooks._rewritten(link, source, page)) == expected


def test_reference_has_every_public_name(hooks: ModuleType) -> None:
    text = "\n".join(hooks._reference().values())
    public = importlib.import_module("clipper_nb").__all__
    assert [name for name in public if f"::: clipper_nb.{name}\n" not in f"{text}\n"] == []


def test_every_page_is_in_the_navigation_once(hooks: ModuleType) -> None:
    paths = [
        "a-new-page.md",
        "architecture.md",
        "coming-from/x.md",
        "decisions/0001-a.md",
        "decisions/index.md",
        "index.md",
    ]
    found = re.findall(r"[\w/-]+\.md", str(hooks._navigation(paths)))
    assert sorted(found) == paths
