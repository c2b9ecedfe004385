#!/bin/bash
# statsmodels 0.15.0 returns fewer predictions than rows when a formula's model is asked with a dict.
# Seen: `results.predict({"x": [1.0, nan, 3.0]})` of `ols("y ~ x")` returns two values; the same rows in a DataFrame
# return three, with NaN for the second.
# Expected: one value for each row. `predict` says that exog "can be a pandas DataFrame or a dict like object that
# contains numpy arrays" and names no difference. Since 0.8 a DataFrame keeps its rows; the dict still loses them.
# Who is hurt: JSON and columnar requests arrive as dicts. When a server batches the rows of several clients, one
# missing value shifts the answers: each later client gets the prediction of another client's row. Only the index of
# the returned Series has a gap; a list or an array made of it has none.
# Instead: `results.predict(pd.DataFrame(columns))`; a server must count the answers of a batch and refuse fewer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q statsmodels==0.15.0 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import pandas as pd
import statsmodels
import statsmodels.formula.api as smf

print("statsmodels", statsmodels.__version__)
results = smf.ols("y ~ x", pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [2.0, 4.0, 6.0, 8.0]})).fit()
columns = {"x": np.array([1.0, np.nan, 3.0])}
from_frame = np.round(results.predict(pd.DataFrame(columns)), 6).tolist()
from_dict = np.round(results.predict(columns), 6).tolist()
print("asked with a DataFrame:", from_frame)
print("asked with a dict: expected three values; seen", from_dict)
sys.exit(0 if len(from_frame) == 3 and from_dict == [2.0, 6.0] else "The behaviour has changed.")
PYTHON
