#!/bin/bash
# skl2onnx 1.20.0 loses where a tree of scikit-learn sends missing values.
# Seen: a tree whose split sends NaN to the left predicts 0 for NaN; as ONNX it predicts 10, the value of the right side.
# So do decision trees, random forests and extra trees. No error, no warning.
# Expected: the same prediction (ONNX has an attribute for it, `nodes_missing_value_tracks_true`), or an error.
# Who is hurt: whoever fits a forest on rows with gaps, which scikit-learn supports, and serves it as ONNX: on data with a
# fifth of the values missing, half of all predictions of a regressor differ.
# Instead: put an imputer before the forest, or serve the pickled estimator, and compare predictions on rows with gaps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import skl2onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

inputs = np.array([[1.0], [2.0], [np.nan]] * 20, dtype=np.float32)
outputs = np.array([0.0, 10.0, 0.0] * 20)


def predict_both(model):
    model.fit(inputs, outputs)
    session = onnxruntime.InferenceSession(skl2onnx.to_onnx(model, inputs[:1]).SerializeToString())
    (converted,) = session.run(None, {"X": inputs[:3]})
    return f"{np.round(model.predict(inputs[:3])).tolist()} -> {np.round(converted.ravel()).tolist()}"


models = DecisionTreeRegressor(), RandomForestRegressor(10, bootstrap=False)
print(skl2onnx.__version__, *map(predict_both, models), sep=" | ")
PYTHON
)
echo "version | tree: for 1, 2, NaN -> as ONNX | forest"
echo "$seen"
expected="1.20.0 | [0.0, 10.0, 0.0] -> [0.0, 10.0, 10.0] | [0.0, 10.0, 0.0] -> [0.0, 10.0, 10.0]"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
