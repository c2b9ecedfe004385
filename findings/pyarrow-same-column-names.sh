#!/bin/bash
# pyarrow 26.0.1 drops columns when a table with two columns of one name becomes Python rows.
# Seen: a table with columns a = [1, 2] and a = [3, 4] gives `to_pylist()` [{'a': 3}, {'a': 4}]: no error, no warning,
# and the first column is gone. A record batch behaves alike; `to_pydict()` keeps the last column too.
# Expected: an error, as polars gives for such a frame, or the warning of pandas' `to_dict("records")`.
# A table like that is valid: `validate(full=True)` passes; a join of two tables makes one.
# Who is hurt: whoever serves the rows of a table as JSON: a reply has fewer values than the model returned, and a
# client reads one column for another.
# Instead: compare `len(set(table.column_names))` with `table.num_columns` before the rows are made.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
import pyarrow as pa

table = pa.table([pa.array([1, 2]), pa.array([3, 4])], names=["a", "a"])
table.validate(full=True)
[batch] = table.to_batches()
print(pa.__version__, table.num_columns, table.to_pylist(), batch.to_pylist(), table.to_pydict(), sep=" | ")
PYTHON
)
echo "version | columns | rows of the table | rows of its batch | as a dict"
echo "$seen"
expected="26.0.1 | 2 | [{'a': 3}, {'a': 4}] | [{'a': 3}, {'a': 4}] | {'a': [3, 4]}"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
