#!/bin/bash
# skl2onnx 1.20.0 changes signs: Normalizer(norm="max") of scikit-learn divides by the largest absolute value of a row,
# its conversion by the largest value.
# Seen: the row [-3, -1] becomes [-1, -0.33] in scikit-learn and [3, 1] as ONNX; [3, -4] becomes [0.75, -1] and [1, -1.33].
# No error, no warning. Rows without negative numbers are right, and so are `norm="l1"` and `"l2"`.
# Its neighbour MaxAbsScaler(clip=True) loses `clip`: of a value three times the largest seen 3 is left in place of 1.
# Expected: the same numbers, or a refusal.
# Who is hurt: models of changes, returns and temperatures: an input turns into its opposite.
# Instead: serve the pipeline itself; or scale with `norm="l2"`, whose conversion is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import skl2onnx
from sklearn.preprocessing import MaxAbsScaler, Normalizer


def as_onnx(fitted, inputs):
    session = onnxruntime.InferenceSession(skl2onnx.to_onnx(fitted, inputs[:1]).SerializeToString())
    return session.run(None, {"X": inputs})[0]


rows = np.array([[-3, -1], [3, -4]], np.float32)
values = np.array([[1], [2], [6]], np.float32)
normalizer = Normalizer(norm="max").fit(rows)
scaler = MaxAbsScaler(clip=True).fit(values[:2])
print(
    skl2onnx.__version__,
    normalizer.transform(rows).astype(float).round(2).tolist(),
    as_onnx(normalizer, rows).astype(float).round(2).tolist(),
    scaler.transform(values).ravel().tolist(),
    as_onnx(scaler, values).ravel().tolist(),
    sep=" | ",
)
PYTHON
)
echo "version | Normalizer of scikit-learn | as ONNX | MaxAbsScaler of scikit-learn | as ONNX"
echo "$seen"
[ "$seen" = "1.20.0 | [[-1.0, -0.33], [0.75, -1.0]] | [[3.0, 1.0], [1.0, -1.33]] | [0.5, 1.0, 1.0] | [0.5, 1.0, 3.0]" ] || { echo "The behaviour has changed." >&2; exit 1; }
