"""Writes a model in ONNX with the files that hold its weights, and checks what it takes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks.onnx import MODEL_FILE, NUMPY_TYPES
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.user_paths import user_path


def save_onnx_files(model: Any, folder: Path) -> None:
    """Write the file of *model*, a path, bytes or a ``ModelProto``, and beside it the files of weights that it names.

    Raises
    ------
    InvalidRequestError
        It is none of these, or there is no such file.
    """
    if isinstance(model, (bytes, bytearray)):
        (folder / MODEL_FILE).write_bytes(model)
    elif hasattr(model, "SerializeToString"):
        (folder / MODEL_FILE).write_bytes(model.SerializeToString())
    elif isinstance(model, (str, os.PathLike)):
        _copy_with_weights(user_path("onnx_model", model), folder)
    else:
        raise InvalidRequestError(
            f"onnx_model must be the path of a file, its bytes, or an onnx.ModelProto, not {type(model).__name__}. Of "
            "a session pass the file that it was opened from; convert other models first: torch.onnx.export, "
            "skl2onnx.to_onnx."
        )


def _copy_with_weights(path: Path, folder: Path) -> None:
    """Copy a model's file, and of the files beside it those whose name stands in it, as that of external data does."""
    if not path.is_file():
        raise InvalidRequestError(f"onnx_model is {str(path)!r}, and there is no such file.")
    shutil.copyfile(path, folder / MODEL_FILE)
    content = path.read_bytes()
    for beside in path.parent.iterdir():
        if beside != path and beside.is_file() and beside.name.encode() in content:
            shutil.copyfile(beside, folder / beside.name)


def check_onnx_input(session: Any, input_type: InputType) -> None:
    """Return if rows of the input type can be given to the model without a function.

    Raises
    ------
    InvalidRequestError
        The model has several inputs, takes another type, or batches of one size only; the message says what to write.
    """
    inputs = session.get_inputs()
    described = ", ".join(f"{each.name}: {each.type}{list(each.shape)}" for each in inputs)
    write = "Pass a function: func(session, inputs)."
    if len(inputs) != 1:
        raise InvalidRequestError(f"The model has {len(inputs)} inputs ({described}). {write}")
    found = inputs[0]
    takes_text = found.type == "tensor(string)"
    fits = input_type is InputType.STRINGS if takes_text else input_type.is_numeric and found.type in NUMPY_TYPES
    if fits and not takes_text and "int" in found.type and input_type in (InputType.FLOATS, InputType.DOUBLES):
        fits = False
    if not fits:
        raise InvalidRequestError(
            f"The model takes {described}, and not inputs of type '{input_type}'. Choose another input_type, or pass a "
            "function: func(session, inputs)."
        )
    if not found.shape or (isinstance(found.shape[0], int) and found.shape[0] != 1):
        raise InvalidRequestError(
            f"The model takes {described}: batches of that size alone. Export it with a free first dimension "
            "(dynamic_shapes, or dynamic_axes), or pass a function that fills batches up."
        )
