"""What a function takes along, what it needs, and what cannot travel."""

from __future__ import annotations

import functools
import importlib
import json
import os
import pickle
import random
import sqlite3
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.closures.pickler import imported_modules, pickle_noting
from clipper_nb.closures.report import closure_report, pickle_with_report
from clipper_nb.closures.user_modules import is_user_module
from clipper_nb.errors import InvalidRequestError, SerializationError

SKLEARN = {"numpy": np.__version__, "scikit-learn": sklearn.__version__}


def notebook(code: str, **variables: Any) -> Callable[[list[Any]], Any]:
    """Return ``predict`` as cells of a notebook define it."""
    names: dict[str, Any] = {"__name__": "__main__", **variables}
    exec(compile(code, "cell.py", "exec"), names)
    return names["predict"]  # type: ignore[no-any-return]


def test_report_says_that_a_generator_travels_with_its_state() -> None:
    code = "def predict(inputs):\n    return [rng.random() + options['own'].random() + model.x for x in inputs]\n"
    model = MLPRegressor(random_state=0)
    model.fit([[0.0], [1.0]], [0.0, 1.0])  # gives it a generator of its own, which predict() leaves alone
    predict = notebook(code, rng=np.random.default_rng(0), options={"own": random.Random(0)}, model=model)
    report = closure_report(predict)
    assert sorted(report.generators) == ["options['own']", "rng"]
    assert "each replica draws the same numbers from" in repr(report)
    assert "each replica draws the same numbers from it" in report._repr_html_()
    assert not closure_report(notebook("def predict(inputs):\n    return inputs\n")).generators


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.PCG64, random.Random])
def test_captured_generator_continues_where_it_was(make: Any) -> None:
    rng = make(7)
    copy = pickle.loads(pickle_function(notebook("def predict(inputs):\n    return rng\n", rng=rng))[0])([])
    draw = "random_raw" if hasattr(rng, "random_raw") else "random"
    assert getattr(copy, draw)() == getattr(rng, draw)()


def test_captured_variables_have_sizes_and_places() -> None:
    predict = notebook(
        "def helper(x):\n    return x @ weights\n\n"
        "def predict(inputs):\n    return [scale * helper(x) for x in inputs]\n",
        weights=np.zeros(1000),
        scale=2.0,
    )
    report = closure_report(predict)
    assert [(found.name, found.type, found.used_at) for found in report.captured] == [
        ("weights", "ndarray", "helper, cell.py, line 2"),
        ("scale", "float", "predict, cell.py, line 5"),
    ]
    assert report.captured[0].size_bytes > 8000
    assert report.size_bytes > 8000
    assert repr(report).startswith("<ClosureReport of predict: ")
    assert "takes along weights, scale; needs numpy" in repr(report)
    assert json.loads(json.dumps(report.to_dict()))["captured"][0]["name"] == "weights"
    assert "weights (ndarray)" in report._repr_html_()


@pytest.mark.parametrize(
    ("code", "variables", "expected"),
    [
        ("def predict(inputs):\n    return [1 for _ in inputs]", {}, {}),
        ("def predict(inputs):\n    import json, os.path\n    return [json.dumps(1) for _ in inputs]", {}, {}),
        ("def predict(inputs):\n    return model.predict(inputs)",
         {"model": LogisticRegression().fit([[0], [1]], [0, 1])}, SKLEARN),
        ("def predict(inputs):\n    from sklearn.svm import SVC\n    return inputs", {},
         {"scikit-learn": sklearn.__version__}),
        ("import sklearn.metrics as m\ndef predict(inputs):\n    return [m.accuracy_score([1], [1])]", {},
         {"scikit-learn": sklearn.__version__}),
        ("def predict(inputs):\n    def inner():\n        import sklearn\n    return inputs", {},
         {"scikit-learn": sklearn.__version__}),
        ("class Net:\n    def ask(self, x):\n        import sklearn\n        return x\n"
         "net = Net()\ndef predict(inputs):\n    return net.ask(inputs)", {}, {"scikit-learn": sklearn.__version__}),
    ],
    ids=["nothing", "standard-library", "captured-object", "import-inside", "module", "nested-function", "own-class"],
)  # fmt: skip
def test_requirements_of_a_function_are_found(code: str, variables: dict[str, Any], expected: dict[str, str]) -> None:
    requirements = closure_report(notebook(code, **variables)).requirements
    assert requirements.direct == expected
    assert requirements.unpinnable == {}
    if "scikit-learn" in expected:  # with what it requires itself
        assert {pin.partition("==")[0] for pin in requirements.pinned} >= {"scikit-learn", "numpy", "scipy", "joblib"}


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        ("lock", threading.Lock()),
        ("database", sqlite3.connect(":memory:")),
        ("numbers", (n for n in range(3))),
        ("log", sys.stderr),
        ("thread", threading.current_thread()),
        ("pool", ThreadPoolExecutor()),
        ("conn", ClipperConnection(LocalContainerManager())),
    ],
)
def test_unpicklable_variable_is_named_with_its_line(name: str, thing: Any) -> None:
    predict = notebook(f"def predict(inputs):\n    x = 1\n    return [{name} for _ in inputs]", **{name: thing})
    (refused,) = closure_report(predict).refused
    assert (refused.name, refused.type) == (name, type(thing).__name__)
    assert refused.used_at == "predict, cell.py, line 3"
    with pytest.raises(SerializationError, match=rf"'{name}' .*line 3"):
        pickle_function(predict)


@pytest.mark.slow
def test_a_tensor_of_a_cuda_device_is_refused() -> None:
    import torch

    class OnCuda(torch.Tensor):
        """Says that it is on such a device, as a tensor does where there is one."""

        is_cuda = True

    names = {"here": torch.ones(2), "there": torch.ones(2).as_subclass(OnCuda)}
    report = closure_report(notebook("def predict(inputs):\n    return [here, there]", **names))
    assert [found.name for found in report.captured] == ["here"]
    assert [(found.name, found.cause) for found in report.refused] == [
        ("there", "cannot take along a tensor on a CUDA device; take it along as .cpu()")
    ]


def test_open_file_is_refused_even_if_it_holds_readable_text(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("words")
    with open(tmp_path / "words.txt") as words:
        predict = notebook("def predict(inputs):\n    return [words.read() for _ in inputs]", words=words)
        (refused,) = closure_report(predict).refused
        assert (refused.name, refused.type) == ("words", "TextIOWrapper")
        with pytest.raises(SerializationError, match=r"Look at 'words' .*cannot take along an open file, .*words\.txt"):
            pickle_function(predict)


def test_object_is_refused_after_one_of_its_type_that_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.txt").write_text("words")
    with (tmp_path / "output").open("w") as output, (tmp_path / "words.txt").open() as file:
        monkeypatch.setattr(sys, "stdout", output)
        assert [culprit for culprit, _ in pickle_noting([output, file])[1].refused] == [file]


def test_environment_is_by_name_after_another_object_of_its_type() -> None:
    other = type(os.environ)({}, str, str, str, str)
    func = notebook("def predict(inputs): return [kept]", kept=[other, os.environ])
    assert pickle.loads(pickle_function(func)[0])([])[0][1] is os.environ


class Growing:
    """Adds to the dictionary that it is kept in as often as *times* while that is pickled, as another thread may."""

    def __init__(self, kept_in: dict[Any, Any], times: int) -> None:
        self.kept_in, self.times = kept_in, times

    def __reduce__(self) -> tuple[Any, ...]:
        if self.times > 0:
            self.times -= 1
            self.kept_in[len(self.kept_in)] = 0
        return int, ()


def test_dict_that_keeps_growing_during_pickling_is_refused() -> None:
    log: dict[Any, Any] = {}
    log.update(a=Growing(log, 2), b=threading.Lock)
    predict = notebook("def predict(inputs):\n    return [log for _ in inputs]", log=log)
    assert [found.name for found in closure_report(predict).captured] == ["log"]
    log["a"].times = 1_000
    with pytest.raises(SerializationError, match=r"Look at 'log' \(dict\).*: another thread changes it while it is"):
        pickle_function(predict)


class Steps:
    """Cannot be read to its end, as the state of an object may; what raises is not what was met last."""

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, self._read()

    def _read(self) -> Iterator[Any]:
        yield threading.Lock
        raise OSError("no more steps")


def test_variable_that_fails_at_its_end_is_named() -> None:
    predict = notebook("def predict(inputs):\n    return [steps for _ in inputs]", steps=Steps())
    with pytest.raises(SerializationError, match=r"Look at 'steps' \(Steps\).*: OSError: no more steps"):
        pickle_function(predict)


class Model:
    """What a user may keep a lock in."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def predict(self, inputs: list[Any]) -> list[Any]:
        return inputs

    __call__ = predict


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (notebook("def predict(inputs, lock=lock):\n    return inputs", lock=threading.Lock()), "lock"),
        (notebook("def predict(inputs, *, lock=lock):\n    return inputs", lock=threading.Lock()), "lock"),
        (Model().predict, "self.lock"),
        (Model(), "self.lock"),
        (functools.partial(lambda lock, inputs: inputs, threading.Lock()), "argument 0"),
        (functools.partial(lambda inputs, lock: inputs, lock=threading.Lock()), "lock"),
    ],
    ids=["default", "keyword-default", "method", "callable", "partial", "keyword-partial"],
)
def test_attribute_of_a_callable_is_named(func: Callable[[list[Any]], Any], name: str) -> None:
    (refused,) = closure_report(func).refused
    assert refused.name == name


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("import json", ["json"]),
        ("import os.path as p, sys", ["os.path", "sys"]),
        ("from json.decoder import JSONDecoder", ["json.decoder"]),
        ("from . import near", ["mine.inner"]),
        ("from .near import x", ["mine.inner.near"]),
        ("from ..far import x", ["mine.far"]),
    ],
)
def test_imports_within_a_function_are_full_names(statement: str, found: list[str]) -> None:
    names: dict[str, Any] = {"__name__": "mine.inner.here", "__package__": "mine.inner"}
    exec(f"def predict(inputs):\n    {statement}\n    return inputs", names)
    assert list(imported_modules(names["predict"])) == found


def test_a_module_of_the_users_own_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_weights.py").write_text("import sklearn\nSCALE = 3\n\ndef scaled(x):\n    return SCALE * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module: ModuleType = importlib.import_module("my_weights")
    report = closure_report(notebook("def predict(inputs):\n    return [w.scaled(x) for x in inputs]", w=module))
    assert report.user_modules == ["my_weights"]
    assert [found.name for found in report.captured] == ["SCALE"]


def test_modules_travel_while_another_thread_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends meanwhile does not take the modules out of what the other pickles."""
    (tmp_path / "my_factor.py").write_text("def scaled(x):\n    return 3 * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    scaled = importlib.import_module("my_factor").scaled
    other_is_inside, first_has_ended = threading.Event(), threading.Event()

    class First:
        def __reduce__(self) -> tuple[Any, ...]:
            other.start()
            other_is_inside.wait(0.2)
            return int, ()

    class Other:
        def __reduce__(self) -> tuple[Any, ...]:
            other_is_inside.set()
            first_has_ended.wait(5)
            return int, ()

    function = notebook(
        "def predict(inputs):\n    return part, [scaled(x) for x in inputs]", part=Other(), scaled=scaled
    )
    pickled: list[bytes] = []
    other = threading.Thread(target=lambda: pickled.append(pickle_function(function)[0]))
    pickle_function(notebook("def predict(inputs):\n    return part, inputs", part=First()))
    first_has_ended.set()
    other.join(10)
    monkeypatch.delitem(sys.modules, "my_factor")
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(tmp_path)])
    assert pickle.loads(pickled[0])([1, 2]) == (0, [3, 6])


def test_installed_module_is_never_a_user_module() -> None:
    made = ModuleType("sklearn.made_up")
    made.__file__ = "made_up.py"
    assert not is_user_module("sklearn.made_up", made)
    assert is_user_module("made_up", made)


@pytest.mark.slow
def test_large_variable_is_refused_unless_allowed() -> None:
    predict = notebook("def predict(inputs):\n    return [big[0] for _ in inputs]", big=np.zeros(13_000_000))
    with pytest.raises(InvalidRequestError, match=r"104\.0 MB, more than 100\.0 MB: 'big' \(104\.0 MB\).*allow_large"):
        pickle_function(predict, allow_large=False)
    pickled, _report = pickle_function(predict, allow_large=True)
    assert len(pickled) > 100_000_000


def test_object_that_is_not_callable_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not int"):
        closure_report(3)  # type: ignore[arg-type]


@pytest.mark.slow
def test_large_array_is_not_copied_to_be_weighed() -> None:
    """The pickle of the function has the only copy, and grows a little beyond it."""
    table = np.zeros(30_000_000, dtype=np.uint8)
    tracemalloc.start()
    try:
        pickled, report = pickle_with_report(lambda inputs: [table[0] for _ in inputs])
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [found.name for found in report.captured] == ["table"]
    assert len(table) < report.captured[0].size_bytes < len(pickled) < len(table) + 10_000
    assert peak_bytes < 1.5 * len(table)
