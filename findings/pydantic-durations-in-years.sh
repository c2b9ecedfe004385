#!/bin/bash
# pydantic 2.14.4 writes 400 days as "P1Y35D", which is another span of time for a reader of ISO 8601.
# Seen: `TypeAdapter(timedelta).dump_json(timedelta(days=400))` gives "P1Y35D". isodate 0.7.2 reads a calendar year and
# 35 days: from 1 March 2023 that is one day more than 400 days. msgspec 0.22.0 refuses the text.
# Expected: "P400D": a timedelta has days and seconds only, and a year of ISO 8601 is no number of days.
# pydantic reads its own text back as 400 days, so tests with one library on both sides see nothing.
# Who is hurt: clients in another language or library, of a model that returns durations of a year and longer.
# Instead: `ser_json_timedelta="float"` (seconds), or a serializer of one's own that writes days.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pydantic==2.14.4 isodate==0.7.2 msgspec==0.22.0
seen=$("$folder/venv/bin/python" -W error - <<'PYTHON'
from datetime import date, timedelta

import isodate
import msgspec
import pydantic

span, start = timedelta(days=400), date(2023, 3, 1)
durations = pydantic.TypeAdapter(timedelta)
text = durations.dump_python(span, mode="json")
try:
    other = str(msgspec.convert(text, timedelta))
except msgspec.ValidationError:
    other = "refused"
print(
    pydantic.VERSION,
    text,
    (start + isodate.parse_duration(text) - start).days,
    other,
    durations.validate_python(text).days,
    sep=" | ",
)
PYTHON
)
echo "version | 400 days | days read by isodate, from 1 March 2023 | read by msgspec | days read by pydantic"
echo "$seen"
expected="2.14.4 | P1Y35D | 401 | refused | 400"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
