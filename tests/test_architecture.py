"""Importing the package is cheap and changes nothing."""

from __future__ import annotations

import ast
import graphlib
import re
import statistics
import subprocess
import sys

import grimp
import pytest

from tests.support.architecture_tree import PAGE, ROOT, draw_tree, replace_tree

HEAVY = ["docker", "ipywidgets", "tornado", "redis", "numpy", "zmq", "pyspark"]

# Run in a fresh interpreter; prints what should not be there.
CHECK = """
import logging, signal, sys, threading
handlers_before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
IMPORT
found = [name for name in HEAVY if name in sys.modules]
found += ["a handler of the root logger"] * bool(logging.getLogger().handlers)
found += ["a level of the root logger"] * (logging.getLogger().level != logging.WARNING)
found += [f"a handler of {name}" for name, logger in logging.root.manager.loggerDict.items()
          if name.startswith("clipper_nb") and [h for h in getattr(logger, "handlers", [])
          if not isinstance(h, logging.NullHandler)]]
found += ["threads"] * (threading.active_count() != 1)
found += ["signal handlers"] * any(signal.getsignal(n) != h for n, h in handlers_before.items())
print(found)
"""


def leftovers_of(statement, heavy=HEAVY):
    """Return what a statement leaves behind in a fresh interpreter."""
    program = CHECK.replace("IMPORT", statement).replace("HEAVY", repr(heavy))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import clipper_nb",
        pytest.param("from clipper_nb import ClipperConnection, LocalContainerManager", marks=pytest.mark.slow),
        pytest.param("from clipper_nb import *", marks=pytest.mark.slow),
        pytest.param(
            "from clipper_nb.deployers.python import create_endpoint, deploy_python_closure", marks=pytest.mark.slow
        ),
        "from clipper_nb import *; ClipperConnection(LocalContainerManager())",
    ],
)
def test_import_loads_nothing_heavy_and_changes_nothing(statement):
    assert leftovers_of(statement) == "[]"


NOT_FOR_CLIENTS = [
    "docker", "ipywidgets", "IPython", "tornado", "redis", "numpy", "pandas", "zmq", "pyspark", "cloudpickle",
    "simdjson", "jsonschema_rs", "psutil", "jinja2", "cryptography", "clipper_nb.connection",
    "clipper_nb.protocol.predict_body",
]  # fmt: skip
USED = "from clipper_nb.client import Client; Client('http://h:1', token='t').predict_batch"


@pytest.mark.parametrize(
    ("statement", "more"),
    [
        ("from clipper_nb.client import AsyncClient, Client", ["urllib3", "aiohttp", "asyncio", "ssl"]),
        (USED, ["aiohttp", "asyncio"]),
        ("from clipper_nb.client import AsyncClient; AsyncClient('http://h:1')", ["urllib3"]),
    ],
)
def test_client_loads_only_what_it_uses(statement, more):
    assert leftovers_of(statement, [*NOT_FOR_CLIENTS, *more]) == "[]"


SUPERVISOR = "clipper_nb.container_managers.local.supervisor.__main__"
QUERY_FRONTEND = "clipper_nb.runtime.query_frontend.__main__"
MANAGEMENT_FRONTEND = "clipper_nb.runtime.management_frontend.__main__"


def modules_after(module):
    """Return the names of all modules that a fresh interpreter has after it imported one.

    Where OpenTelemetry's SDK is installed, as for MLflow's tests, redis-py imports it, and with it what that needs.
    """
    program = f"import sys; sys.modules['opentelemetry'] = None; import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize("module", [QUERY_FRONTEND, MANAGEMENT_FRONTEND, "clipper_nb.protocol.rpc"])
def test_serving_processes_import_no_notebook_module(module):
    notebooks = ("connection", "deployers", "container_managers", "images", "clients.management_client")
    assert [
        name for name in modules_after(module) if name.startswith(tuple(f"clipper_nb.{own}" for own in notebooks))
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "too_much"),
    [
        (SUPERVISOR, ["tornado", "redis", "urllib3", "psutil", "http", "email", "importlib.metadata", "tempfile"]),
        (QUERY_FRONTEND, ["pandas", "scipy", "docker", "urllib3", "psutil", "cloudpickle", "jinja2"]),
        (MANAGEMENT_FRONTEND, ["simdjson", "pandas", "docker", "urllib3", "psutil", "cloudpickle", "jinja2"]),
    ],
)
def test_process_starts_without_what_it_does_not_need(module, too_much):
    """An import that is not needed at the start costs each start_clipper() its time, and each cluster its memory."""
    found = modules_after(module)
    assert [name for name in [*too_much, "numpy", "IPython", "unittest", "clipper_nb.cluster"] if name in found] == []


def test_the_tree_in_the_docs_is_that_of_the_modules():
    page = PAGE.read_text()
    assert page == replace_tree(page, draw_tree(ROOT / "clipper_nb")), "run: python -m tests.support.architecture_tree"


def test_imports_have_no_circle():
    """Imports for types alone, and those inside of functions, count too."""
    graph = grimp.build_graph("clipper_nb", cache_dir=None)
    package = {"clipper_nb"}  # whose lazy names are imported by nobody of ours
    order = graphlib.TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) - package for module in graph.modules - package}
    )
    try:
        order.prepare()
    except graphlib.CycleError as exc:
        pytest.fail(f"a circle of imports: {' -> '.join(exc.args[1])}")


def test_few_modules_stand_beside_the_rooms():
    loose = [path.name for path in (ROOT / "clipper_nb").glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= 8, loose


def test_no_test_name_is_longer_than_60_characters():
    """A name states the rule in a few plain words; a longer explanation is a docstring."""
    names = [
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    ]
    assert len(names) > 1000
    assert [name for name in names if len(name) > 60] == []


SOURCES = {path.relative_to(ROOT): path.read_text() for path in (ROOT / "clipper_nb").rglob("*.py")}


def test_no_file_but_the_manual_has_more_than_400_lines():
    """A longer file holds a second idea, which gets a file of its own."""
    sizes = {str(path): len(text.splitlines()) for path, text in SOURCES.items()}
    assert {path for path, size in sizes.items() if size > 400} == {"clipper_nb/connection.py"}
    assert statistics.median(sizes.values()) <= 100


def body_size(function):
    """Return how many lines the statements of a function take."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


@pytest.mark.slow
def test_no_function_body_has_more_than_40_lines():
    """Its docstring does not count. A longer one has a second part, which gets a name."""
    functions = [
        (path, function)
        for path, text in SOURCES.items()
        for function in ast.walk(ast.parse(text))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert len(functions) > 4000
    assert [f"{path}: {function.name}" for path, function in functions if body_size(function) > 40] == []


STARTS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}
STARTS |= {"asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"}


def test_each_start_of_a_program_names_its_environment():
    """R in the notebook puts another libpython before this Python's: ``child_environment`` takes it away."""
    starts = [
        (f"{path}:{call.lineno}", {keyword.arg for keyword in call.keywords})
        for path, text in SOURCES.items()
        if "runtime" not in path.parts and "subprocess" in text
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in STARTS
    ]
    assert len(starts) >= 7
    assert [place for place, arguments in starts if "env" not in arguments] == []
