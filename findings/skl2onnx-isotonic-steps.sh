#!/bin/bash
# skl2onnx 1.20.0 turns an isotonic calibration (CalibratedClassifierCV of scikit-learn) into steps.
# Seen: between two of its points scikit-learn interpolates: 300 inputs get 164 different probabilities. As ONNX all
# inputs between two points get the value of one of them: 4 are left, wrong by up to 0.17. No error, no warning;
# `method="sigmoid"` is right.
# Expected: the same probabilities, or a refusal.
# Who is hurt: whoever calibrates so that a probability can be multiplied with a cost: the calibration is what is lost.
# Instead: serve the estimator itself, or calibrate with `method="sigmoid"` before the conversion.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import skl2onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

inputs = np.linspace(-3, 3, 300, dtype=np.float32)[:, None]
labels = np.random.RandomState(0).rand(300) < 1 / (1 + np.exp(-2 * inputs[:, 0]))
seen = [skl2onnx.__version__]
for method in ("isotonic", "sigmoid"):
    fitted = CalibratedClassifierCV(LogisticRegression(), method=method, cv=3).fit(inputs, labels.astype(int))
    converted = skl2onnx.to_onnx(fitted, inputs[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    own, found = fitted.predict_proba(inputs)[:, 1], session.run(None, {"X": inputs})[1][:, 1]
    seen += [method, f"{np.abs(own - found).max():.2f}", len(np.unique(own.round(6))), len(np.unique(found.round(6)))]
print(*seen, sep=" | ")
PYTHON
)
echo "version | method | largest difference | different values in scikit-learn | as ONNX, and the same for sigmoid"
echo "$seen"
[ "$seen" = "1.20.0 | isotonic | 0.17 | 164 | 4 | sigmoid | 0.00 | 300 | 300" ] || { echo "The behaviour has changed." >&2; exit 1; }
