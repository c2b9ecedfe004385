#!/bin/bash
# lightgbm 4.7.0 takes a missing value for zero when the column had none while it was fitted.
# Seen: 50 trees fitted on the inputs -2, -1, 0, 1, 2 with the output 10 at zero and 0 elsewhere predict 10 for NaN, which
# is neither the mean (2) nor an error; with some missing values in the fit, for which the output was 5, they predict 5.
# Expected: an error or a warning, or a direction as xgboost learns one for values that it has not seen.
# Who is hurt: a model fitted on a clean table and asked with gaps, where zero is a value like any other, such as a
# temperature or a difference: it answers as if zero was measured.
# Instead: fit with some missing values in each column that may have them, or refuse inputs that have NaN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q lightgbm==4.7.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
import lightgbm
import numpy as np

inputs = np.array([[x] for x in (-2.0, -1.0, 0.0, 1.0, 2.0)] * 20)
outputs = np.array([0.0, 0.0, 10.0, 0.0, 0.0] * 20)
gaps = np.full((20, 1), np.nan)


def predictions(inputs, outputs):
    model = lightgbm.LGBMRegressor(n_estimators=50, min_child_samples=5, verbose=-1).fit(inputs, outputs)
    return [round(x) for x in model.predict(np.array([[np.nan], [0.0], [1.0]])).tolist()]


clean = predictions(inputs, outputs)
with_gaps = predictions(np.vstack([inputs, gaps]), np.append(outputs, [5.0] * 20))
print(lightgbm.__version__, clean, with_gaps, sep=" | ")
PYTHON
)
echo "version | NaN, 0 and 1 after a fit without gaps | NaN, 0 and 1 after a fit with gaps"
echo "$seen"
expected="4.7.0 | [10, 10, 0] | [5, 10, 0]"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
