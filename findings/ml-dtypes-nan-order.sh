#!/bin/bash
# ml_dtypes 0.5.4: numpy sorts a bfloat16 array wrongly when it holds one NaN.
# Seen: `np.sort` of [3, nan, 1, 2, 0.5] in bfloat16 returns [3, nan, 0.5, 1, 2]; `np.argsort(scores)[::-1][:3]` returns
# other top three than the same scores in float32; `np.unique` returns its values unsorted; `np.nanargmax` returns the
# index of the NaN. float8 types do the same; float16 and float32 are right.
# Expected: numpy.sort's documentation says that NaN is sorted to the end, and `nanargmax` that it ignores NaN. Cause:
# the type's comparison is plain `<`, which is no order once a NaN is there, and numpy does not know it is a float.
# Who is hurt: rankings and quantiles of model outputs in bfloat16, which servers and JAX hand over as numpy arrays: one
# NaN score puts other items first, not only itself, without a warning.
# Instead: `array.astype(np.float32)` before anything that orders values; the conversion is exact.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ml_dtypes==0.5.4 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import ml_dtypes
import numpy as np

print("ml_dtypes", ml_dtypes.__version__, "numpy", np.__version__)
nan = float("nan")
scores = np.array([0.25, 0.75, 0.5, nan, 0.125, 1.0, 0.875, 0.625], ml_dtypes.bfloat16)
exact = scores.astype(np.float32)


def top_three(values):
    ranking = np.argsort(values)[::-1]
    return [int(item) for item in ranking if not np.isnan(values[item])][:3]


def is_in_order(values):
    numbers = values.astype(np.float32)
    return bool(np.all(np.diff(numbers[~np.isnan(numbers)]) >= 0))


print("scores:", exact.tolist())
print("np.sort: expected", np.sort(exact).tolist(), "seen", np.sort(scores).astype(float).tolist())
print("top three: expected", top_three(exact), "seen", top_three(scores))
print("np.nanargmax: expected", int(np.nanargmax(exact)), "seen", int(np.nanargmax(scores)))
print("np.unique in order: expected True, seen", is_in_order(np.unique(scores)))
wrong = not is_in_order(np.sort(scores)) and top_three(scores) != top_three(exact) and np.nanargmax(scores) == 3
sys.exit(0 if wrong else "The behaviour has changed.")
PYTHON
