#!/bin/bash
# skl2onnx 1.20.0 converts TunedThresholdClassifierCV of scikit-learn without its threshold.
# Seen: a classifier whose threshold was tuned to 0.1 finds 214 of 400 rows; as ONNX it finds the 74 rows that the model
# below it finds at 0.5. No error, no warning. The sibling with a given threshold, FixedThresholdClassifier, is refused.
# Expected: the same labels, or the same refusal.
# Who is hurt: whoever tunes the threshold because a miss is dear: fraud, sickness, churn. Most of what was to be found
# is not found any more.
# Instead: serve probabilities and compare them with `best_threshold_` yourself, or serve the pickled estimator.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
import skl2onnx
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

inputs = np.linspace(-3, 3, 400, dtype=np.float32)[:, None]
labels = np.random.RandomState(0).rand(400) < 1 / (1 + np.exp(2 - inputs[:, 0]))
tuned = TunedThresholdClassifierCV(LogisticRegression(), scoring="recall", thresholds=[0.1, 0.2], cv=3)
tuned.fit(inputs, labels.astype(int))
converted = skl2onnx.to_onnx(tuned, inputs[:1], options={"zipmap": False})
session = onnxruntime.InferenceSession(converted.SerializeToString())
found = session.run(None, {"X": inputs})[0]
print(
    skl2onnx.__version__,
    f"threshold {tuned.best_threshold_:.1f}",
    tuned.predict(inputs).sum(),
    found.sum(),
    tuned.estimator_.predict(inputs).sum(),
    sep=" | ",
)
PYTHON
)
echo "version | threshold | found by scikit-learn | as ONNX | by the model without the threshold"
echo "$seen"
[ "$seen" = "1.20.0 | threshold 0.1 | 214 | 74 | 74" ] || { echo "The behaviour has changed." >&2; exit 1; }
