"""Which files of a model in ONNX travel, and what is refused before they do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clipper_nb.deployers.frameworks.onnx_files import check_onnx_input, save_onnx_files
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType


def session(*inputs: tuple[str, list[Any]]) -> Any:
    found = [SimpleNamespace(name=f"x{n}", type=kind, shape=shape) for n, (kind, shape) in enumerate(inputs)]
    return SimpleNamespace(get_inputs=lambda: found)


def test_files_that_the_model_names_travel(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    (source / "net.onnx").write_bytes(b"... net.onnx.data ...")
    (source / "net.onnx.data").write_bytes(b"weights")
    (source / "other.onnx.data").write_bytes(b"other")
    save_onnx_files(source / "net.onnx", into)
    assert sorted(path.name for path in into.iterdir()) == ["model.onnx", "net.onnx.data"]


@pytest.mark.parametrize("model", ["missing.onnx", 7, None, object()])
def test_what_is_no_model_is_refused(tmp_path: Path, model: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"no such file|must be the path of a file"):
        save_onnx_files(model, tmp_path)


@pytest.mark.parametrize(
    ("input_type", "inputs", "words"),
    [
        (InputType.FLOATS, [("tensor(float)", [None, 4])] * 2, "has 2 inputs .*x0.*x1"),
        (InputType.STRINGS, [("tensor(float)", [None, 4])], "not inputs of type 'strings'"),
        (InputType.DOUBLES, [("tensor(string)", [None, 1])], "not inputs of type 'doubles'"),
        (InputType.DOUBLES, [("tensor(int64)", ["n", 4])], "not inputs of type 'doubles'"),
        (InputType.FLOATS, [("seq(map(int64,tensor(float)))", [])], "not inputs of type"),
        (InputType.FLOATS, [("tensor(float)", [8, 4])], "batches of that size alone"),
    ],
)
def test_model_that_needs_a_function_says_so(input_type: InputType, inputs: list[Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        check_onnx_input(session(*inputs), input_type)


def test_model_of_rows_needs_none() -> None:
    check_onnx_input(session(("tensor(float)", ["batch", 4])), InputType.DOUBLES)
    check_onnx_input(session(("tensor(int64)", [1, 4])), InputType.INTEGERS)
    check_onnx_input(session(("tensor(string)", [None, 1])), InputType.STRINGS)
