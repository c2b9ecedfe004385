#!/bin/bash
# pyarrow 26.0.1 drops the time of day of a datetime if a date comes before it in the column; the other way round it raises.
# Seen: pa.array([date, datetime]) is date32, and 12:30 is gone; Table.from_pylist and pandas' to_parquet of such a column do
# the same, and what is read back has no time. pa.array([datetime, date]) raises ArrowTypeError.
# Expected: the same in both orders, an error or a timestamp: numbers are (1 before 2.5 gives doubles with both).
# Who is hurt: logs of requests and features that are collected as records, some with a day alone and some with a moment, and
# written to Parquet: whether the moments survive depends on which record came first, and nothing says that they did not.
# Instead: pass the schema (pa.timestamp("us")), or make every value a datetime first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6
seen=$(cd "$folder" && venv/bin/python -W ignore - <<'PYTHON'
from datetime import date, datetime

import pandas as pd
import pyarrow as pa

day, moment = date(2026, 1, 1), datetime(2026, 1, 2, 12, 30)
print(pa.__version__)
print("array:", [str(value) for value in pa.array([day, moment]).to_pylist()])
print("records:", [str(row["at"]) for row in pa.Table.from_pylist([{"at": day}, {"at": moment}]).to_pylist()])
pd.DataFrame({"at": [day, moment]}).to_parquet("frame.parquet")
print("Parquet:", [str(value) for value in pd.read_parquet("frame.parquet")["at"]])
try:
    pa.array([moment, day])
except pa.ArrowTypeError as exc:
    print("the moment first:", type(exc).__name__)
print("numbers:", pa.array([1, 2.5]).to_pylist())
PYTHON
)
echo "2026-01-01 and 2026-01-02 12:30 in one column"
echo "$seen"
expected="26.0.1
array: ['2026-01-01', '2026-01-02']
records: ['2026-01-01', '2026-01-02']
Parquet: ['2026-01-01', '2026-01-02']
the moment first: ArrowTypeError
numbers: [1.0, 2.5]"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
