#!/bin/bash
# skl2onnx 1.20.0 forgets that near neighbours count more: `weights="distance"` of scikit-learn's neighbours is ignored.
# Seen: KNeighborsRegressor(2, weights="distance") predicts 10 for a training point with the value 10, and 19 for one very
# near to 20; as ONNX it predicts 5 and 15, the plain means. KNeighborsClassifier's probabilities are plain shares too.
# No error, no warning.
# Expected: the same predictions, or a refusal as for what it cannot convert.
# Who is hurt: whoever looks things up by neighbours (prices, places, embeddings) and serves that as ONNX.
# Instead: serve the pickled estimator, or compare predictions of both before the deploy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import skl2onnx
from sklearn.neighbors import KNeighborsRegressor

inputs = np.array([[0], [1], [2], [3]], dtype=np.float32)
model = KNeighborsRegressor(2, weights="distance").fit(inputs, [0.0, 10.0, 20.0, 30.0])
session = onnxruntime.InferenceSession(skl2onnx.to_onnx(model, inputs[:1]).SerializeToString())
asked = np.array([[1.0], [1.25], [1.9]], dtype=np.float32)
plain = KNeighborsRegressor(2).fit(inputs, model._y).predict(asked)
(converted,) = session.run(None, {"X": asked})
print(skl2onnx.__version__, *(each.round(1).ravel().tolist() for each in (model.predict(asked), converted, plain)), sep=" | ")
PYTHON
)
echo "version | scikit-learn for 1, 1.25, 1.9 | as ONNX | scikit-learn without weights"
echo "$seen"
[ "$seen" = "1.20.0 | [10.0, 12.5, 19.0] | [5.0, 15.0, 15.0] | [5.0, 15.0, 15.0]" ] || { echo "The behaviour has changed." >&2; exit 1; }
