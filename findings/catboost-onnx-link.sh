#!/bin/bash
# catboost 1.2.10 saves the trees of a model as ONNX, and forgets what comes after them.
# Seen: a CatBoostRegressor with the loss Poisson or Tweedie predicts a mean, exp of the sum of its trees; as ONNX it answers the
# sum itself, the logarithm of the mean. A classifier with set_probability_threshold(0.8) finds fewer rows than with one half;
# as ONNX it finds as many as with one half.
# Expected: the same predictions, or a refusal, as there is for scale and bias.
# Who is hurt: a count or an amount of money is wrong by orders of magnitude, and plausible where it is near 1.
# Instead: serve the cbm file; or apply numpy.exp, and the threshold, to what the ONNX model answers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q catboost==1.2.10 onnxruntime==1.32.0 numpy==2.4.6 pandas==3.0.1
cd "$folder"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import catboost
import numpy as np
import onnxruntime

onnxruntime.set_default_logger_severity(4)
random = np.random.default_rng(0)
rows = random.normal(size=(500, 4)).astype(np.float32)
sums = 2 * rows[:, 0] + rows[:, 1]
counts = np.abs(np.round(sums))
options = {"iterations": 30, "depth": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def as_onnx(model):
    model.save_model("model.onnx", format="onnx")
    return np.ravel(onnxruntime.InferenceSession("model.onnx").run(None, {"features": rows})[0])


found = []
for loss in ("RMSE", "Poisson", "Tweedie:variance_power=1.5"):
    model = catboost.CatBoostRegressor(loss_function=loss, **options).fit(rows, counts)
    wanted, got = model.predict(rows), as_onnx(model)
    is_exp = np.allclose(np.exp(got), wanted, rtol=1e-3)
    found.append("the same" if np.allclose(got, wanted, atol=1e-3) else "the logarithm" if is_exp else "another")
classifier = catboost.CatBoostClassifier(**options).fit(rows, (sums > 0).astype(int))
at_half = int(classifier.predict(rows).sum())
classifier.set_probability_threshold(0.8)
found += [int(classifier.predict(rows).sum()) < at_half, int(as_onnx(classifier).sum()) == at_half]
print(catboost.__version__, *found, sep=" | ")
PYTHON
)
echo "version | RMSE | Poisson | Tweedie | the threshold finds fewer rows | as ONNX as many as at one half"
echo "$seen"
[ "$seen" = "1.2.10 | the same | the logarithm | the logarithm | True | True" ] || { echo "The behaviour has changed." >&2; exit 1; }
