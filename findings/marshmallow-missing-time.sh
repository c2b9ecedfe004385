#!/bin/bash
# marshmallow 4.4.0 writes a missing time of pandas as the year 1.
# Seen: dump() of {"when": pandas.NaT} by a Schema with a DateTime is {"when": "0001-01-01T00:00:00"}, and by a Date
# "0001-01-01"; None is null. With format="rfc" or "timestamp" there is an error. NaT is an instance of datetime whose fields
# are those of the first day that there is, and marshmallow calls datetime.isoformat() of the class instead of the object's,
# which returns "NaT". (pydantic, msgspec, orjson and pyarrow raise an error; duckdb takes it for NULL.)
# Expected: null where the field allows None, or an error.
# Who is hurt: services that answer rows of a data frame (a last purchase, an expected delivery) through a Schema: a client
# reads a valid date, two thousand years ago, and computes with it.
# Instead: frame.astype(object).where(frame.notna(), None) before dump().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q marshmallow==4.4.0 pandas==3.1.1 numpy==2.4.6
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
from importlib.metadata import version

import pandas as pd
from marshmallow import Schema, fields


class Row(Schema):
    time = fields.DateTime(allow_none=True)
    day = fields.Date(allow_none=True)


frame = pd.DataFrame({"time": pd.to_datetime(["2024-02-29", None])})
rows = Row(many=True).dump(frame.assign(day=frame["time"]).to_dict("records"))
print(version("marshmallow"), rows[1], Row().dump({"time": None, "day": None}), pd.NaT.isoformat(), sep=" | ")
PYTHON
)
echo "version | of NaT | of None | its own isoformat()"
echo "$seen"
expected="4.4.0 | {'time': '0001-01-01T00:00:00', 'day': '0001-01-01'} | {'time': None, 'day': None} | NaT"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
