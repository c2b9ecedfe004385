#!/bin/bash
# pyarrow 26.0.1 refuses to lose the nanoseconds of a time of day, until pandas is installed: then it drops them silently.
# Seen: `to_pylist()` of time64[ns] with nanoseconds raises ValueError, "not safely convertible", as timestamp[ns] and
# duration[ns] do. With pandas 3.1.1 in the same environment, not even imported by the program, the latter two become
# Timestamp and Timedelta with all digits, and time64[ns] becomes `datetime.time(0, 0, 1)`, without a warning.
# Expected: the error stays for the type for which pandas has no better object.
# Who is hurt: exchange feeds and sensors whose Parquet files have a time of day in nanoseconds. Rows that differ become
# equal, in every program that turns Arrow into Python's objects, and on no machine where it was tried without pandas.
# Instead: `column.cast(pa.int64())` has the nanoseconds since midnight.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/ask.py" <<'PYTHON'
import pyarrow as pa

NANOSECONDS = [1_000_000_123, 1_000_000_124]


def outcome(kind):
    try:
        found = pa.array(NANOSECONDS, kind).to_pylist()
    except ValueError as exc:
        return "error" if "not safely convertible" in str(exc) else str(exc)
    return "equal" if found[0] == found[1] else "different"


print(pa.__version__, *(f"{kind}: {outcome(kind)}" for kind in map(pa.type_for_alias, ["timestamp[ns]", "duration[ns]"])),
      f"time64[ns]: {outcome(pa.time64('ns'))}", sep=" | ")
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
without=$("$folder/venv/bin/python" "$folder/ask.py")
"$folder/venv/bin/pip" install -q pandas==3.1.1
with=$("$folder/venv/bin/python" "$folder/ask.py")
printf 'without pandas: %s\nwith pandas:    %s\n' "$without" "$with"
[ "$without" = "26.0.1 | timestamp[ns]: error | duration[ns]: error | time64[ns]: error" ] &&
    [ "$with" = "26.0.1 | timestamp[ns]: different | duration[ns]: different | time64[ns]: equal" ] ||
    { echo "The behaviour has changed." >&2; exit 1; }
