#!/bin/bash
# rpy2 3.6.4 hands R's missing integers to NumPy and pandas as -2147483648.
# Seen: `c(1L, NA, 3L)` becomes array([1, -2147483648, 3], dtype=int32) by numpy2ri and by pandas2ri, and so does an
# integer column of a data.frame; a mean of the column is then a large negative number. No warning is given.
# Expected: what the same converters do with other types: NaN for doubles, None or NA for text and booleans; pandas has
# a nullable Int32 for it.
# Cause: R writes a missing integer as the smallest 32-bit one, and the vector's memory is read as it is.
# Who is hurt: who calls an R model from Python: counts, ages and factor codes with gaps become numbers that look valid.
# Instead: `as.numeric()` in R before the value crosses, or compare with rpy2's NA_Integer afterwards.
# Needs R.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q rpy2==3.6.4 rpy2-rinterface==3.6.4 rpy2-robjects==3.6.4 numpy==2.4.6 pandas==3.1.1
seen=$("$folder/venv/bin/python" -W error::UserWarning - <<'PYTHON'
from importlib.metadata import version

from rpy2 import robjects
from rpy2.robjects import numpy2ri, pandas2ri
from rpy2.robjects.conversion import localconverter

code = "data.frame(count = c(1L, NA, 3L), weight = c(1, NA, 3))"
with localconverter(robjects.default_converter + numpy2ri.converter):
    counts = robjects.r("c(1L, NA, 3L)")
with localconverter(robjects.default_converter + pandas2ri.converter):
    frame = robjects.r(code)
print(
    version("rpy2"), counts.tolist(), frame["count"].tolist(), frame["count"].isna().sum(), frame["weight"].isna().sum(),
    sep=" | ",
)
PYTHON
)
echo "version | by numpy2ri | column by pandas2ri | missing counts | missing weights"
echo "$seen"
expected="3.6.4 | [1, -2147483648, 3] | [1, -2147483648, 3] | 0 | 1"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
