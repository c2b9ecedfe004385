#!/bin/bash
# onnxmltools 1.16.0 converts LightGBM models whose training options change what the leaves mean, and drops the options.
# Seen: predictions of `boosting_type="rf"` are a fraction of LightGBM's, those of `reg_sqrt=True` are not squared,
# `linear_tree=True` gives constants instead of the linear functions of the leaves, and `sigmoid=2.0` other
# probabilities. No error, no warning; unknown objectives, such as `mape`, are refused.
# Expected: the same predictions, or a refusal as for those objectives.
# Who is hurt: whoever serves such a model as ONNX. The labels of a classifier with another `sigmoid` stay right, so that
# accuracy shows nothing.
# Instead: compare predictions of the converted model with LightGBM's, or serve the booster itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 lightgbm==4.7.0 \
    scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

inputs = np.random.RandomState(0).randn(400, 2).astype(np.float32)
values = 5 + 3 * inputs[:, 0] + inputs[:, 1]
given = {"n_estimators": 20, "verbose": -1, "random_state": 0}


def convert_and_run(model):
    converted = onnxmltools.convert_lightgbm(model, initial_types=[("x", FloatTensorType([None, 2]))], zipmap=False)
    return onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"x": inputs})


def agree(**options):
    model = lightgbm.LGBMRegressor(**given, **options).fit(inputs, values)
    return np.allclose(model.predict(inputs), convert_and_run(model)[0].ravel(), atol=1e-3)


model = lightgbm.LGBMClassifier(**given, sigmoid=2.0).fit(inputs, (values > 5).astype(int))
labels, probabilities = convert_and_run(model)
print(
    onnxmltools.__version__,
    f"no option: {agree()}",
    f"dart: {agree(boosting_type='dart')}",
    f"rf: {agree(boosting_type='rf', bagging_freq=1, bagging_fraction=0.5)}",
    f"reg_sqrt: {agree(reg_sqrt=True)}",
    f"linear_tree: {agree(linear_tree=True)}",
    f"sigmoid: labels {(labels == model.predict(inputs)).all()}, "
    f"probabilities {np.allclose(model.predict_proba(inputs), probabilities, atol=1e-3)}",
    sep=" | ",
)
PYTHON
)
echo "version | does ONNX predict what LightGBM predicts?"
echo "$seen"
expected="1.16.0 | no option: True | dart: True | rf: False | reg_sqrt: False | linear_tree: False | sigmoid: labels True, probabilities False"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
