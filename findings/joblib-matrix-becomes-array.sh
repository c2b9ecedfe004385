#!/bin/bash
# joblib 1.6.0 with NumPy 2 loads a matrix as an array: `weights * x` is then another product.
# Seen: joblib.dump() and load() of a numpy.matrix return a numpy.ndarray with the same numbers; with pickle, and with
# joblib on NumPy 1.26, it stays a matrix. `weights * x` is the matrix product before, and element by element after. joblib asks
# the class for __array_prepare__ to make it again, which NumPy 2 removed, and otherwise leaves the array as it is.
# Expected: what is loaded is what was saved, or an error.
# Who is hurt: numpy.matrix is what SciPy's sparse matrices return from sum(), mean() and todense(), so models written
# around them hold some. Saved in a notebook and loaded in a server, they answer other numbers.
# Instead: np.asarray() and `@` in code that is saved; or pickle.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/ask.py" <<'PYTHON'
import pickle

import joblib
import numpy as np
from scipy.sparse import csr_matrix

weights = csr_matrix([[1.0, 2.0], [3.0, 4.0]]).todense()
x = np.array([[10.0], [100.0]])
joblib.dump(weights, "weights.joblib")
print(f"joblib {joblib.__version__}, numpy {np.__version__.partition('.')[0]}")
for name, loaded in (
    ("saved", weights),
    ("pickle", pickle.loads(pickle.dumps(weights))),
    ("joblib", joblib.load("weights.joblib")),
):
    print(f"{name}: {type(loaded).__name__}, {(loaded * x).tolist()}")
PYTHON
cd "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q joblib==1.6.0 numpy==1.26.4 scipy==1.13.1
before=$("$folder/venv/bin/python" -W ignore "$folder/ask.py")
"$folder/venv/bin/pip" install -q numpy==2.4.6 scipy==1.17.1
after=$("$folder/venv/bin/python" -W ignore "$folder/ask.py")
printf '%s\n' "$before" "$after"
product="[[210.0], [430.0]]"
others="saved: matrix, $product
pickle: matrix, $product"
expected_before="joblib 1.6.0, numpy 1
$others
joblib: matrix, $product"
expected_after="joblib 1.6.0, numpy 2
$others
joblib: ndarray, [[10.0, 20.0], [300.0, 400.0]]"
[ "$before" = "$expected_before" ] && [ "$after" = "$expected_after" ] ||
    { echo "The behaviour has changed." >&2; exit 1; }
