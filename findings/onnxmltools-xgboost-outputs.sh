#!/bin/bash
# onnxmltools 1.16.0 converts XGBoost models whose output is more than the sum of the trees, and leaves out the rest.
# Seen: `objective="reg:logistic"` answers the margin, such as 2.0, instead of the probability 0.8; a regressor with two
# outputs answers other numbers, with 0 for the second; a random forest of three classes (XGBRFClassifier) has other
# probabilities, and other labels for some rows. No error, no warning; `missing=0` is refused with a good sentence.
# Expected: the same predictions, or a refusal as for `missing`.
# Who is hurt: whoever serves such a model as ONNX.
# Instead: compare predictions of the converted model with XGBoost's, or serve the estimator itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 xgboost-cpu==3.2.0 \
    scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import numpy as np
import onnxmltools
import onnxruntime
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

inputs = np.random.RandomState(0).randn(400, 4).astype(np.float32)
values = 3 * inputs[:, 0] + inputs[:, 1]
chances = 1 / (1 + np.exp(-values))
classes = np.digitize(inputs[:, 0], [-0.5, 0.5])


def convert_and_run(model):
    converted = onnxmltools.convert_xgboost(model, initial_types=[("x", FloatTensorType([None, 4]))])
    return onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": inputs})


def agree(model, outputs):
    model.fit(inputs, outputs)
    predicted = model.predict(inputs)
    return np.allclose(predicted, convert_and_run(model)[0].reshape(predicted.shape), atol=1e-3)


small = {"n_estimators": 20, "max_depth": 3}
forest = xgboost.XGBRFClassifier(n_estimators=10, random_state=0).fit(inputs, classes)
labels, probabilities = convert_and_run(forest)[:2]
same_probabilities = np.allclose(forest.predict_proba(inputs), probabilities, atol=1e-3)
print(
    onnxmltools.__version__,
    f"squared error: {agree(xgboost.XGBRegressor(**small), values)}",
    f"three classes: {agree(xgboost.XGBClassifier(**small), classes)}",
    f"reg:logistic: {agree(xgboost.XGBRegressor(objective='reg:logistic', **small), chances)}",
    f"two outputs: {agree(xgboost.XGBRegressor(**small), np.c_[values, -values])}",
    f"forest of three classes: labels {(labels == forest.predict(inputs)).all()}, probabilities {same_probabilities}",
    sep=" | ",
)
PYTHON
)
echo "version | does ONNX predict what XGBoost predicts?"
echo "$seen"
expected="1.16.0 | squared error: True | three classes: True | reg:logistic: False | two outputs: False | forest of three classes: labels False, probabilities False"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
