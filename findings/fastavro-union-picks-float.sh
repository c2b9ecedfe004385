#!/bin/bash
# fastavro 1.13.1 writes an integer as a 32-bit float when the schema is a union of float and long, in this order.
# Seen: 16777217 with the schema ["float", "long"] is read back as 16777216.0; with ["long", "float"] it is 16777217. No
# error, no warning. The first branch that takes any number wins, even if a later one has the value exactly.
# Expected: the branch "long", as the Python type says; for a float, fastavro does look for the best branch: 0.1 with
# ["null", "float", "double"] is written as a double.
# Who is hurt: identifiers and counts in messages or feature stores whose schema says "float or long".
# Instead: put "long" first, or name the branch: `("long", 16777217)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q fastavro==1.13.1
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
import io

import fastavro


def travelled(branches, value):
    schema = fastavro.parse_schema(branches)
    file = io.BytesIO()
    fastavro.schemaless_writer(file, schema, value)
    file.seek(0)
    return fastavro.schemaless_reader(file, schema)


print(
    fastavro.__version__,
    travelled(["float", "long"], 16777217),
    travelled(["long", "float"], 16777217),
    travelled(["float", "long"], ("long", 16777217)),
    travelled(["null", "float", "double"], 0.1),
    sep=" | ",
)
PYTHON
)
echo "version | float before long | long before float | branch named | 0.1 as float or double"
echo "$seen"
expected="1.13.1 | 16777216.0 | 16777217 | 16777217 | 0.1"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
