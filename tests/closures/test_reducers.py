"""Objects that pickle loses arrive whole in a process that has neither this package nor the notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.closures.function_pickle import pickle_function

FUNCTIONS = {
    "cache": (
        "import functools\n@functools.cache\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "def predict(inputs):\n    return [[fib(x), fib.cache_info().currsize] for x in inputs]",
        [[5, 6], [55, 11]],
    ),
    "lru_cache of a method, with another one within": (
        "import functools\n@functools.lru_cache(maxsize=7, typed=True)\ndef double(x):\n    '''Twice.'''\n"
        "    return 2 * x\nclass Model:\n    @functools.lru_cache\n    def ask(self, x):\n"
        "        return [double(x), double.__doc__]\n"
        "model = Model()\ndef predict(inputs):\n"
        "    return [[*model.ask(x), double.cache_parameters()] for x in inputs]",
        [[10, "Twice.", {"maxsize": 7, "typed": True}], [20, "Twice.", {"maxsize": 7, "typed": True}]],
    ),
    "cached_property": (
        "import functools\nclass Model:\n    calls = 0\n    @functools.cached_property\n    def table(self):\n"
        "        Model.calls += 1\n        return {5: 'five'}\n"
        "model = Model()\ndef predict(inputs):\n    return [[model.table.get(x), Model.calls] for x in inputs]",
        [["five", 1], [None, 1]],
    ),
    "singledispatch": (
        "import functools\n@functools.singledispatch\ndef say(x):\n    return f'{x}!'\n"
        "@say.register\ndef _(x: list):\n    return [say(each) for each in x]\n"
        "@say.register(int)\ndef _(x):\n    return x + 1\n"
        "def predict(inputs):\n    return [say([x, 'a', [2]]) for x in inputs]",
        [[6, "a!", [3]], [11, "a!", [3]]],
    ),
    "ufunc": (
        "from numpy import add\nfrom scipy.special import expit\nimport mine\n"
        "def predict(inputs):\n    return [round(float(expit(add(x, -x))), 3) for x in inputs]",
        [0.5, 0.5],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_works_in_a_process_without_clipper_nb(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, expected = FUNCTIONS[name]
    (tmp_path / "mine.py").write_text("from scipy.special import expit\nfrom numpy import add\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "cell.py", "exec"), names)
    pickled, _report = pickle_function(names["predict"])
    sys.modules.pop("mine", None)
    elsewhere = (
        "import json, pickle, sys\nsys.modules['clipper_nb'] = None\n"
        "print(json.dumps(pickle.load(sys.stdin.buffer)([5, 10])))"
    )
    ran = subprocess.run([sys.executable, "-c", elsewhere], input=pickled, capture_output=True, cwd="/", timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout) == expected == names["predict"]([5, 10])


def test_a_dispatcher_that_is_used_twice_is_one(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    code = (
        "import functools\n@functools.singledispatch\ndef say(x):\n    return 'any'\n"
        "table = {'say': say}\ndef predict(inputs):\n    return [table['say'] is say for _ in inputs]"
    )
    exec(compile(code, "cell.py", "exec"), names)
    ran = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer)([1]))"],
        input=pickle_function(names["predict"])[0], capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout.split() == [b"[True]"]
