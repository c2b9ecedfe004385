#!/bin/bash
# safetensors 0.8.0 saves a transposed NumPy array with its values in another order.
# Seen: `safetensors.numpy.save({"x": a.T})` and `load` of [[0, 1, 2], [3, 4, 5]] transposed give [[0, 1], [2, 3], [4, 5]]
# where [[0, 3], [1, 4], [2, 5]] was saved: the shape is right, no error, no warning. The memory is taken as it lies, and
# strides are not looked at. So it is with every second column, and with what `order="F"` made.
# Expected: the values of the array, as `numpy.save` writes them, or the error that `safetensors.torch.save` raises for a
# tensor that is not contiguous.
# An array like that is ordinary: weights come transposed from a fit or from another format.
# Who is hurt: whoever converts a model to safetensors: it loads, and predicts something else.
# Instead: `numpy.ascontiguousarray(array)` for each array before the save.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.4.6
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
import importlib.metadata

import numpy as np
from safetensors.numpy import load, save

rows = np.arange(6).reshape(2, 3)


def travelled(array):
    return load(save({"x": array}))["x"].tolist()


print(
    importlib.metadata.version("safetensors"),
    travelled(rows),
    travelled(rows.T),
    travelled(rows[:, ::2]),
    travelled(np.ascontiguousarray(rows.T)),
    sep=" | ",
)
PYTHON
)
echo "version | as it is | transposed | every second column | transposed, made contiguous"
echo "$seen"
expected="0.8.0 | [[0, 1, 2], [3, 4, 5]] | [[0, 1], [2, 3], [4, 5]] | [[0, 1], [2, 3]] | [[0, 3], [1, 4], [2, 5]]"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
