#!/bin/bash
# protobuf 7.36.2 (Python) cannot read the JSON that it writes for the largest float32.
# Seen: `MessageToJson(FloatValue(value=m))` with m the largest finite float32 gives 3.4028235e+38; `Parse` of that text
# raises "Float value too large". A field of a message behaves alike.
# Expected: what one side prints, the other reads: both follow the same JSON mapping, and 3.4028235e+38 rounds to m.
# Cause: the printed text is the shortest that names the float32; read as a double it lies a little above m, and is
# compared with m before it is rounded.
# Who is hurt: clients that send float features as JSON to a server that speaks gRPC (a mask or "no value" is often the
# largest float), and replies of such a server that are read again by a proxy or a test.
# Instead: send doubles, or `float(numpy.float32(value))` with all its digits, which passes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q protobuf==7.36.2
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import struct

import google.protobuf
from google.protobuf import json_format
from google.protobuf.wrappers_pb2 import DoubleValue, FloatValue

[largest] = struct.unpack("<f", b"\xff\xff\x7f\x7f")
text = json_format.MessageToJson(FloatValue(value=largest))
assert struct.pack("<f", largest) == b"\xff\xff\x7f\x7f"
try:
    again = json_format.Parse(text, FloatValue()).value
except json_format.ParseError as exc:
    again = str(exc).partition(" at ")[0]
exact = json_format.Parse(repr(largest), FloatValue()).value == largest
double = json_format.Parse(text, DoubleValue()).value
print(google.protobuf.__version__, text, again, exact, struct.pack("<f", double) == struct.pack("<f", largest), sep=" | ")
PYTHON
)
echo "version | written | read again | all digits pass | the text names the same float32"
echo "$seen"
[ "$seen" = "7.36.2 | 3.4028235e+38 | Float value too large | True | True" ] || { echo "The behaviour has changed." >&2; exit 1; }
