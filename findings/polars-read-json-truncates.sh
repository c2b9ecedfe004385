#!/bin/bash
# polars 2.1.0 cuts off the fraction of numbers in a JSON array when the first 100 records had whole numbers.
# Seen: `pl.read_json` of 100 times {"a": 1} and then {"a": 1.999} returns 1 for the last record, and null for 1e19;
# no error, no warning. With 99 records before it the answer is 1.999: the value depends on where in the batch it is.
# Expected: 1.999, or an error. `infer_schema_length` is documented as "the maximum number of rows to scan for schema
# inference", and polars refuses what does not fit elsewhere: a new field in record 101, a text in record 101, and the
# very same records in `pl.read_ndjson` all raise.
# Who is hurt: users who score JSON batches with prices, ratios or probabilities that begin with round values. Tests
# with small batches pass; the answers are wrong only for records after the 100th.
# Instead: `pl.read_json(source, infer_schema_length=None)`, or a `schema` with Float64.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q polars==2.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import polars as pl


def records(num_before, value):
    return [{"a": 1}] * num_before + [{"a": value}]


def last_of(num_before, value, **options):
    return pl.read_json(json.dumps(records(num_before, value)).encode(), **options)["a"][-1]


print("polars", pl.__version__)
seen = [last_of(100, value) for value in (1.999, -0.7, 1e19)]
print("record 101 is 1.999, -0.7, 1e19: expected these, or an error; seen", seen)
print("record 100 is 1.999, -0.7, 1e19:", [last_of(99, value) for value in (1.999, -0.7, 1e19)])
print("with infer_schema_length=None:", [last_of(100, v, infer_schema_length=None) for v in (1.999, -0.7, 1e19)])
try:
    pl.read_ndjson("\n".join(json.dumps(record) for record in records(100, 1.999)).encode())
    print("read_ndjson accepts the same records")
except pl.exceptions.ComputeError as exc:
    print("read_ndjson refuses the same records:", exc)
sys.exit(0 if seen == [1, 0, None] else "The behaviour has changed.")
PYTHON
