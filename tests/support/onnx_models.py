"""Small models in ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def linear_model(path: Path, weights: Any, *, batch: int | str = "batch", external_data: bool = False) -> Path:
    """Write ``y = x @ weights`` in float32, and return the path."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, weights.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, weights.shape[1]])],
        [numpy_helper.from_array(np.asarray(weights, dtype="float32"), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save_model(
        model, str(path), save_as_external_data=external_data, location=f"{path.name}.data", size_threshold=0
    )
    return path
