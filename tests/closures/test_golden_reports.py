"""Closure reports of functions from cells, exactly.

After a wanted change: ``REGENERATE_GOLDEN=1 pytest tests/closures/test_golden_reports.py``, and read the diff.
Versions are left out of the files, and sizes may be half or twice what is there: both differ between machines.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.closures.report import closure_report
from clipper_nb.errors import InvalidRequestError, SerializationError

GOLDEN = Path(__file__).parent / "golden_reports"

OWN_MODULE = "import math\n\nTABLE = list(range(1000))\n\n\ndef lookup(x):\n    return TABLE[math.floor(x)]\n"

CLOSURES: dict[str, list[str]] = {
    "nothing": ["def predict(inputs):\n    return [len(x) for x in inputs]"],
    "array": [
        "import numpy as np\nweights = np.zeros(1000)",
        "def predict(inputs):\n    return [x @ weights for x in inputs]",
    ],
    "model": [
        "import numpy as np\nfrom sklearn.linear_model import LogisticRegression",
        "model = LogisticRegression().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])",
        "def predict(inputs):\n    return list(model.predict(np.stack(inputs)))",
    ],
    "functions": [
        "scale, shift = 2.0, 1.0",
        "def inner(x):\n    return x * scale",
        "def outer(x):\n    return inner(x) + shift",
        "shift = 5.0\ndef predict(inputs):\n    return [outer(x) for x in inputs]",
    ],
    "defaults": [
        "def predict(inputs, names=('a', 'b'), *, threshold=0.5):\n"
        "    return [names[x[0] > threshold] for x in inputs]"
    ],
    "partial": [
        "from functools import partial\ndef scaled(factor, inputs, *, offset):\n"
        "    return [x * factor + offset for x in inputs]",
        "predict = partial(scaled, 3.0, offset=1.0)",
    ],
    "method": [
        "class Model:\n    def __init__(self, bias):\n        self.bias = bias\n\n"
        "    def predict(self, inputs):\n        return [x.sum() + self.bias for x in inputs]",
        "predict = Model(2.0).predict",
    ],
    "import_inside": [
        "def predict(inputs):\n    import PIL.Image as pictures\n"
        "    return [pictures.new('1', (1, 1)) for _ in inputs]"
    ],
    "own_module": [
        "import my_golden_table\nTABLE = 'another'",
        "def predict(inputs):\n    return [my_golden_table.lookup(x[0]) for x in inputs]",
    ],
    "alias": ["import scipy.special as sp", "def predict(inputs):\n    return [sp.expit(x) for x in inputs]"],
    "closure": [
        "def make(depth):\n    base = depth + 1\n    def predict(inputs):\n"
        "        rec = lambda n: n if n > base else rec(n + 1)\n"
        "        return [rec(int(x[0])) for x in inputs]\n    return predict",
        "predict = make(7)",
    ],
    "decorated": [
        "import functools\ndef logged(func):\n    @functools.wraps(func)\n    def wrapper(inputs):\n"
        "        return func(inputs)\n    return wrapper",
        "labels = {'a': 1}\n@logged\ndef predict(inputs):\n    return [labels['a'] for _ in inputs]",
    ],
    "lock": [
        "import threading",
        "lock = threading.Lock()",
        "def predict(inputs):\n    with lock:\n        return inputs",
    ],
    "file": ["words = open('words.txt')", "def predict(inputs):\n    return [words.readline() for _ in inputs]"],
    "generator": [
        "numbers = (n * n for n in range(9))",
        "def predict(inputs):\n    return [next(numbers) for _ in inputs]",
    ],
    "database": [
        "from sqlalchemy import create_engine, text\n\nengine = create_engine('sqlite://')",
        "def predict(inputs):\n    with engine.connect() as c:\n"
        "        return [c.execute(text('select 1')) for _ in inputs]",
    ],
    "cached": [
        "import functools\n@functools.lru_cache(maxsize=100)\ndef fib(n):\n"
        "    return n if n < 2 else fib(n - 1) + fib(n - 2)",
        "def predict(inputs):\n    return [fib(int(x[0])) for x in inputs]",
    ],
    "dispatched": [
        "from functools import singledispatch\nsuffix = '!'\n@singledispatch\ndef say(x):\n    return f'{x}{suffix}'",
        "@say.register\ndef _(x: list):\n    return [say(each) for each in x]",
        "def predict(inputs):\n    return [say(x.tolist()) for x in inputs]",
    ],
    "ufunc": ["from scipy.special import expit", "def predict(inputs):\n    return [list(expit(x)) for x in inputs]"],
    "classes": [
        "import enum\nfrom dataclasses import dataclass, field\nfrom functools import cached_property",
        "class Risk(enum.Enum):\n    LOW = 1\n    HIGH = 2",
        "@dataclass(order=True)\nclass Rule:\n    limit: float = 0.5\n    notes: list = field(default_factory=list)\n\n"
        "    @cached_property\n    def low(self):\n        return Risk.LOW",
        "rules = [Rule(), Rule(0.7)]",
        "def predict(inputs):\n    return [rules[0].low.name if x[0] < rules[0].limit else '' for x in inputs]",
    ],
    "cell_magic": [
        "%%capture\nfrom math import pi as scale\nweights = [1.0, 2.0]",
        "def predict(inputs):\n    return [scale * weights[0] for _ in inputs]",
    ],
    "same_name": [
        "def make(factor):\n    def times(x):\n        return x * factor\n    return times",
        "double, triple = make(2), make(3)",
        "def predict(inputs):\n    return [double(triple(x[0])) for x in inputs]",
    ],
    "own_reduce": [
        "class Handle:\n    def __reduce__(self):\n        raise ValueError('handles stay here')",
        "import sklearn.metrics as metrics\nstate = {'handles': [1, Handle()]}",
        "def predict(inputs):\n    return [metrics.accuracy_score([1], [len(state)]) for _ in inputs]",
    ],
    "class_lock": [
        "import threading",
        "class Counter:\n    lock = threading.Lock()\n\n    def count(self, x):\n        return len(x)",
        "def predict(inputs):\n    return [Counter().count(x) for x in inputs]",
    ],
    "slot": [
        "import threading\nclass Counter:\n    __slots__ = ('lock',)\n\n    def __init__(self):\n"
        "        self.lock = threading.Lock()",
        "counter = Counter()",
        "def predict(inputs):\n    return [counter.lock.locked() for _ in inputs]",
    ],
    "several": [
        "import collections, functools, threading",
        "numbers = (n for n in range(3))",
        "ready = collections.deque([0, threading.Event()])",
        "def answer(lock, x):\n    return x",
        "answer = functools.partial(answer, threading.Lock())",
        "def predict(inputs):\n    return [(answer(x), next(numbers), ready[1].is_set()) for x in inputs]",
    ],
    "clients": [
        "import boto3, openai, requests",
        "storage = boto3.client('s3', region_name='eu-west-1', aws_access_key_id='a', aws_secret_access_key='b')",
        "chat, web = openai.OpenAI(api_key='none'), requests.Session()",
        "def predict(inputs):\n    return [(storage, chat, web) for _ in inputs]",
    ],
    "library_lock": [
        "from prometheus_client import CollectorRegistry, Counter",
        "asked = Counter('asked', 'Questions', registry=CollectorRegistry())",
        "def predict(inputs):\n    asked.inc(len(inputs))\n    return inputs",
    ],
    "nested": [
        "import socket\nclass Client:\n    def __init__(self):\n        self.options = {'sockets': [socket.socket()]}",
        "client = Client()\nok = 1",
        "def predict(inputs):\n    return [client.options, ok]",
    ],
}  # fmt: skip
REFUSED = (
    "lock", "file", "generator", "database", "nested", "own_reduce", "class_lock", "slot", "several", "clients",
    "library_lock",
)  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A notebook's shell in a folder with a module and a file."""
    (tmp_path / "my_golden_table.py").write_text(OWN_MODULE)
    (tmp_path / "words.txt").write_text("words\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    config = Config()
    config.HistoryManager.enabled = False
    # As one of a notebook's: get_ipython() gives the shell only of a class that has one instance.
    shell = InteractiveShell.instance(config=config)
    yield shell
    for name in ("words", "client"):
        thing = shell.user_ns.get(name)
        if thing is not None:
            (thing if name == "words" else thing.options["sockets"][0]).close()
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()
    InteractiveShell.clear_instance()
    sys.modules.pop("my_golden_table", None)


@pytest.mark.parametrize("name", CLOSURES)
def test_the_report_is_exact(name: str, shell: InteractiveShell) -> None:
    for cell in CLOSURES[name]:
        shell.run_cell(cell, store_history=True).raise_error()
    predict = shell.user_ns["predict"]
    report = _without_what_differs(closure_report(predict).to_dict())
    path = GOLDEN / f"{name}.json"
    if os.environ.get("REGENERATE_GOLDEN"):
        path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    golden = json.loads(path.read_text())
    assert _sizes(report) == [pytest.approx(size, rel=0.5) for size in _sizes(golden)]
    assert _without_sizes(report) == _without_sizes(golden)
    assert bool(report["refused"]) == (name in REFUSED)
    if report["refused"]:
        with pytest.raises(SerializationError) as caught:
            pickle_function(predict)
    for refused in report["refused"]:
        places = f"made in {refused['made_at']}, used in {refused['used_at']}"
        assert f"Look at '{refused['name']}' ({refused['type']}), {places}: {refused['cause']}" in _here(caught.value)


@pytest.mark.slow
def test_200_megabytes_are_named_with_their_variable(shell: InteractiveShell) -> None:
    shell.run_cell("import numpy as np\nsmall = np.ones(10)\nembeddings = np.zeros(25_000_000)", store_history=True)
    shell.run_cell("def predict(inputs):\n    return [small @ embeddings[:10] for _ in inputs]", store_history=True)
    predict = shell.user_ns["predict"]
    with pytest.raises(InvalidRequestError, match=r"200\.0 MB.*: 'embeddings' \(200\.0 MB\).*allow_large=True"):
        pickle_function(predict, allow_large=False)
    pickled, report = pickle_function(predict, allow_large=True)
    assert len(pickled) > 200_000_000
    largest = report.captured[0]
    assert (largest.name, largest.made_at) == ("embeddings", "Cell In[1], line 3")


def _without_what_differs(report: dict[str, Any]) -> dict[str, Any]:
    requirements = report["requirements"]
    for group in ("direct", "indirect"):
        for distribution, version in requirements.get(group, {}).items():
            assert version == importlib.metadata.version(distribution)
            requirements[group][distribution] = "as installed"
    # What these require differs between releases, and the newest release between Pythons; test_requirements.py has it.
    pinned = [pin.partition("==")[0] for pin in requirements["pinned"]]
    requirements["pinned"] = [name for name in pinned if name in requirements["direct"]]
    return json.loads(_here(json.dumps(report)))  # type: ignore[no-any-return]


def _here(text: object) -> str:
    """Return a text without the folder of this run."""
    return str(text).replace(os.getcwd() + "/", "")


def _sizes(report: dict[str, Any]) -> list[int]:
    return [report["size_bytes"], *(captured["size_bytes"] for captured in report["captured"])]


def _without_sizes(report: dict[str, Any]) -> dict[str, Any]:
    captured = [{**found, "size_bytes": None} for found in report["captured"]]
    return {**report, "size_bytes": None, "captured": captured}
