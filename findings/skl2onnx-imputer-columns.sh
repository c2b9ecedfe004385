#!/bin/bash
# skl2onnx 1.20.0 converts SimpleImputer of scikit-learn with other columns than it has.
# Seen: `add_indicator=True` makes two columns of values and two that say what was missing; as ONNX the two that say it are
# gone, and nothing is said. A column in which all was missing is dropped by scikit-learn; as ONNX it stays, full of NaN.
# Expected: the same columns, or a refusal.
# Who is hurt: that a value was missing is often the best feature of all. Alone, the imputer gives fewer columns; whoever
# feeds them to a model by hand gets the next columns in their place.
# Instead: serve the pipeline itself; or MissingIndicator beside the imputer, after a look at the number of columns.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import warnings

import numpy as np
import onnxruntime
import skl2onnx
from sklearn.impute import SimpleImputer

warnings.simplefilter("ignore")  # scikit-learn says that it drops the column


def as_onnx(fitted, inputs):
    session = onnxruntime.InferenceSession(skl2onnx.to_onnx(fitted, inputs[:1]).SerializeToString())
    return session.run(None, {"X": inputs})[0]


some = np.array([[1, np.nan], [3, 5], [np.nan, 7]], np.float32)
all_of_one = np.array([[1, np.nan, 3], [2, np.nan, 5]], np.float32)
marked = SimpleImputer(add_indicator=True).fit(some)
dropping = SimpleImputer().fit(all_of_one)
print(
    skl2onnx.__version__,
    marked.transform(some)[0].tolist(),
    as_onnx(marked, some)[0].tolist(),
    dropping.transform(all_of_one)[0].tolist(),
    as_onnx(dropping, all_of_one)[0].tolist(),
    sep=" | ",
)
PYTHON
)
echo "version | with indicator | as ONNX | with an empty column | as ONNX"
echo "$seen"
[ "$seen" = "1.20.0 | [1.0, 6.0, 0.0, 1.0] | [1.0, 6.0] | [1.0, 3.0] | [1.0, nan, 3.0]" ] || { echo "The behaviour has changed." >&2; exit 1; }
