"""A Python function as a model."""

from __future__ import annotations

import pickle
import sys

import cloudpickle
import pytest

from clipper_nb.runtime.model_container.python_model import PythonModel, load_python_model


@pytest.fixture(autouse=True)
def _same_import_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def write(folder, func):
    (folder / "func.pkl").write_bytes(cloudpickle.dumps(func))


def test_function_gets_the_very_list_and_its_result_passes():
    inputs, outputs = [1, 2], ["a", "b"]
    seen = []
    model = PythonModel(lambda given: (seen.append(given), outputs)[1])
    assert model.predict(inputs) is outputs
    assert seen[0] is inputs


def test_exception_of_the_function_passes_through():
    with pytest.raises(ZeroDivisionError):
        PythonModel(lambda inputs: 1 / 0).predict([])


def test_function_keeps_what_it_captured(tmp_path):
    weights = {"a": 3}
    write(tmp_path, lambda inputs: [weights[name] for name in inputs])
    assert load_python_model(tmp_path).predict(["a"]) == [3]


def test_modules_folder_can_be_imported_from(tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "a_module_of_the_user.py").write_text("def double(x):\n    return 2 * x\n")

    def predict(inputs):
        from a_module_of_the_user import double

        return [double(value) for value in inputs]

    write(tmp_path, predict)
    assert load_python_model(tmp_path).predict([4]) == [8]
    del sys.modules["a_module_of_the_user"]


def test_import_path_stays_without_a_modules_folder(tmp_path):
    write(tmp_path, len)
    before = list(sys.path)
    load_python_model(tmp_path)
    assert sys.path == before


def test_missing_function_passes_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"func\.pkl"):
        load_python_model(tmp_path)


def test_damaged_function_passes_as_it_is(tmp_path):
    (tmp_path / "func.pkl").write_bytes(b"no pickle")
    with pytest.raises(pickle.UnpicklingError):
        load_python_model(tmp_path)


def test_missing_module_passes_with_its_name(tmp_path):
    (tmp_path / "func.pkl").write_bytes(b"cno_such_module\nfunction\n.")
    with pytest.raises(ModuleNotFoundError) as info:
        load_python_model(tmp_path)
    assert info.value.name == "no_such_module"
