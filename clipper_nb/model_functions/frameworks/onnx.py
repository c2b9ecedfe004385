"""A model in ONNX: a session of ONNX Runtime, and the function that answers rows with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.number_rows import convert_rows, stack_rows

MODEL_FILE = "model.onnx"
NUMPY_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(string)": "object",
}
"""By type of a model's input, the dtype of its array."""


def load(folder: Path, _facts: Mapping[str, Any], _load_pickled: Callable[[str], Any]) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of the model, on the processor.

    The file is read by path, since weights may be in files beside it.
    """
    import onnxruntime

    # A GPU that the notebook has and the replica lacks must not change where a model runs.
    return onnxruntime.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])


def predict_rows(session: Any, inputs: Sequence[Any]) -> Any:
    """Return the model's outputs for rows of numbers, or for texts: what is deployed without a function.

    Each row takes the shape of the model's input. A model of one output returns that; of several, one object per row
    that has them by name. A model that was exported for a batch of one is called for each row.

    Raises
    ------
    ValueError
        The rows do not have as many numbers as the model's input, or one that its dtype does not have.
    """
    wanted = session.get_inputs()[0]
    rows = _shaped(inputs, wanted)
    names = [output.name for output in session.get_outputs()]
    is_for_one = bool(wanted.shape) and wanted.shape[0] == 1
    batches = [rows[position : position + 1] for position in range(len(rows))] if is_for_one else [rows]
    answers = [session.run(None, {wanted.name: batch}) for batch in batches]
    columns = [[row for answer in answers for row in answer[position]] for position in range(len(names))]
    if len(names) == 1:
        return columns[0]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _shaped(inputs: Sequence[Any], wanted: Any) -> Any:
    import numpy as np

    is_text = isinstance(inputs[0], str)
    dtype = NUMPY_TYPES[wanted.type]
    rows = np.array(inputs, dtype=object) if is_text else convert_rows(stack_rows(inputs), dtype)
    of_one = wanted.shape[1:]
    if not all(isinstance(size, int) for size in of_one):  # some size is free
        return rows.reshape(len(rows), 1) if is_text and len(of_one) == 1 else rows
    size = math.prod(of_one)
    if size != rows[0:1].size:
        raise ValueError(f"an input has {rows[0:1].size} values; the model takes {size}, of shape {list(of_one)}")
    return rows.reshape(len(rows), *of_one)
