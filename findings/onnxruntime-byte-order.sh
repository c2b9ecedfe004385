#!/bin/bash
# onnxruntime 1.32.0 reads arrays of the other byte order as if they were of this machine's.
# Seen: `session.run(None, {"x": array})` with a float32 array of 1.0 and 2.0 whose dtype is ">f4" returns 4.6006e-41
# and 8.9683e-44: no error, no warning. An int64 1 of dtype ">i8" becomes 72057594037927936.
# Expected: the values. numpy, pandas and polars compute right with such arrays; pyarrow, orjson and onnx's own
# `from_array` refuse them. `InferenceSession.run` refuses a wrong element type, and says nothing of byte order.
# Who is hurt: big-endian arrays are what readers of FITS, NetCDF-3, IDX (MNIST) and `np.frombuffer(..., ">f4")` return.
# A model of such data predicts nonsense from values near zero, which looks like a bad model, not like a bad array.
# Instead: pass `array.astype(array.dtype.newbyteorder("="))`, in the model function and wherever bytes leave Python.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def identity(element_type):
    x, y = (helper.make_tensor_value_info(name, element_type, [None]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString())


print("onnxruntime", onnxruntime.__version__)
swapped = ">" if sys.byteorder == "little" else "<"
changed = False
for kind, element_type, values in (("f4", TensorProto.FLOAT, [1.0, 2.0]), ("i8", TensorProto.INT64, [1, 2])):
    array = np.array(values, swapped + kind)
    (seen,) = identity(element_type).run(None, {"x": array})
    print(f"dtype {array.dtype.str}: expected {array.tolist()}; seen {seen.tolist()}")
    misread = np.frombuffer(array.tobytes(), kind)
    changed = changed or not np.array_equal(seen, misread) or np.array_equal(seen, array)
try:
    onnx.numpy_helper.from_array(np.array([1.0], swapped + "f4"))
    print("onnx.numpy_helper.from_array: accepts the array")
except ValueError as exc:
    print(f"onnx.numpy_helper.from_array refuses it: {exc}")
sys.exit("The behaviour has changed." if changed else 0)
PYTHON
