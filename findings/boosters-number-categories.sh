#!/bin/bash
# lightgbm 4.7.0 and xgboost 3.2.0 take the numbers of an array for positions of categories, and those of a data frame for
# the categories themselves.
# Seen: both learn from a column of the categories 10, 20, 30 and 40 that the output is 1, 2, 3 and 4. predict() of the frame
# answers 1, 2, 3, 4; predict() of the same rows as an array, frame.to_numpy(), answers 1, 1, 1, 1 (lightgbm) and
# 4, 4, 4, 4 (xgboost), without a warning. The array's 0, 1, 2 and 3 get the answers of 10, 20, 30 and 40.
# Expected: an error, as both raise for a data frame whose column has the numbers and not the type "category"; or the value's
# own category.
# Who is hurt: a model fitted on a frame in a notebook and served with lists or arrays of numbers, as most servers pass them:
# area codes, months, years, number of doors.
# Instead: make a data frame with the categories of the fit before predict(), or fit on the codes (0, 1, 2, ...).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q lightgbm==4.7.0 xgboost-cpu==3.2.0 pandas==3.1.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
import lightgbm
import numpy as np
import pandas as pd
import xgboost

codes = np.arange(400) % 4
frame = pd.DataFrame({"doors": pd.Categorical.from_codes(codes, categories=[10, 20, 30, 40])})
outputs = codes + 1.0
parameters = {"verbose": -1, "min_data_per_group": 1, "cat_smooth": 0, "num_threads": 1}
light = lightgbm.train(parameters, lightgbm.Dataset(frame, outputs), 100)
data = xgboost.DMatrix(frame, outputs, enable_categorical=True)
other = xgboost.train({"nthread": 1}, data, 100)


def of_xgboost(rows):
    return other.predict(
        xgboost.DMatrix(rows, feature_names=["doors"], feature_types=["c"])
        if isinstance(rows, np.ndarray)
        else xgboost.DMatrix(rows, enable_categorical=True)
    )


positions = np.array([[0.0], [1.0], [2.0], [3.0]])
for name, predict in (("lightgbm " + lightgbm.__version__, light.predict), ("xgboost " + xgboost.__version__, of_xgboost)):
    found = [predict(rows).round().astype(int).tolist() for rows in (frame[:4], frame[:4].to_numpy(dtype=float), positions)]
    print(name, *found, sep=" | ")
PYTHON
)
echo "version | the frame | the same rows as an array | the array 0, 1, 2, 3"
echo "$seen"
expected="lightgbm 4.7.0 | [1, 2, 3, 4] | [1, 1, 1, 1] | [1, 2, 3, 4]
xgboost 3.2.0 | [1, 2, 3, 4] | [4, 4, 4, 4] | [1, 2, 3, 4]"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
