#!/bin/bash
# xgboost 3.2.0 forgets on the way through its own file which number stands for a missing value.
# Seen: `XGBRegressor(missing=-999)` predicts 5.9 for a row with -999; saved with `save_model` and loaded with
# `load_model` it predicts -6.1 for the same row, and `missing` is NaN again. No error, no warning.
# Expected: the same prediction before and after, or a warning that the parameter is not in the file: parameters such as
# `enable_categorical` and the number of the best iteration are.
# Who is hurt: whoever trains with `missing=` and serves the saved model: every row with a gap is answered as one with
# a very small number.
# Instead: give `missing=` to the constructor that loads, or pickle the estimator, or turn the number into NaN first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" -W error - "$folder/model.json" <<'PYTHON'
import pickle
import sys

import numpy as np
import xgboost

inputs = np.array([[x] for x in (-2.0, -1.0, 1.0, 2.0, -999.0)] * 20)
outputs = np.array([-6.0, -6.0, 6.0, 6.0, 6.0] * 20)
gap = np.array([[-999.0]])

fitted = xgboost.XGBRegressor(n_estimators=20, missing=-999).fit(inputs, outputs)
fitted.save_model(sys.argv[1])
loaded = xgboost.XGBRegressor()
loaded.load_model(sys.argv[1])
told = xgboost.XGBRegressor(missing=-999)
told.load_model(sys.argv[1])
unpickled = pickle.loads(pickle.dumps(fitted))
print(
    xgboost.__version__,
    *(f"{model.predict(gap)[0]:.0f} (missing={model.missing})" for model in (fitted, loaded, told, unpickled)),
    sep=" | ",
)
PYTHON
)
echo "version | fitted | saved and loaded | loaded with missing= | pickled"
echo "$seen"
expected="3.2.0 | 6 (missing=-999) | -6 (missing=nan) | 6 (missing=-999) | 6 (missing=-999)"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
