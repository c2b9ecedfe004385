"""The documentation: what its pages for users of other servers promise, and how markdown becomes the site's."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from clipper_nb import ClipperConnection, LocalContainerManager
from tests.support import page_blocks
from tests.support.clusters import leftovers, running_cluster
from tests.support.page_runner import PageRunner
from tests.support.page_setups import SETUPS
from tests.support.r_variables import r_running

CHECKOUT = Path(__file__).parents[1]
PAGES = sorted((CHECKOUT / "docs" / "coming-from").glob("*.md"))
NAMES = [page.stem for page in PAGES]


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


BLOCKS = {page: found for page in page_blocks.PAGES if (found := page_blocks.blocks_of(page))}
WITH_R = ("README.md", "docs/monitoring.md")
RUN = [page for page, blocks in BLOCKS.items() if any(block.is_run for block in blocks)]


@pytest.mark.parametrize("page", BLOCKS)
def test_each_block_of_code_is_run_or_says_why_not(page: str) -> None:
    for block in filter(lambda each: each.is_code, BLOCKS[page]):
        assert not block.mark or block.stays or block.file_name or len(block.why_not_run) > 10, f"{block}: {block.mark}"
        is_shown = block.language == "python" or block.has_prompts or block.stays or block.why_not_run
        assert is_shown, f"{block} is neither run nor marked: put <!-- not run: why --> before it"


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster() as conn:
        yield conn


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[InteractiveShell]:
    """A notebook in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()


@pytest.fixture
def r_where_needed(page: str) -> Iterator[None]:
    with r_running() if page in WITH_R else contextlib.nullcontext():
        yield


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("r_where_needed")
@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.r) if page in WITH_R else page for page in RUN])
def test_blocks_of_a_page_run_one_after_the_other(page: str, conn: ClipperConnection, shell: InteractiveShell) -> None:
    shell.user_ns["conn"] = conn
    setups = dict(SETUPS.get(page, {}))
    runner = PageRunner(shell)
    try:
        for block in BLOCKS[page]:
            if block.is_run:
                for begin in [each for each in setups if block.code.startswith(each)]:
                    setups.pop(begin)(shell.user_ns)
                runner.run(block)
        assert list(setups) == [], "no block begins so"
    finally:
        runner.close()
        own = shell.user_ns["conn"]
        if own is not conn:
            own.stop_all()
            assert leftovers(own.cm) == []


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
