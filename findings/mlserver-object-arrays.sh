#!/bin/bash
# mlserver 1.7.1 cuts off the digits of numbers in an object array.
# Seen: `NumpyCodec` encodes `np.array([12345, 7], dtype=object)`, and decodes it to [b"1", b"7"]. A row of a price and
# a text, [12345, "new"], becomes [b"12", b"ne"]. Nothing is raised on either side. +inf and -inf come back as NaN.
# Expected: the values, or an error. `NumpyCodec.can_encode` is true for every numpy array, and a type that it does not
# know (datetime64) raises. Cause: an object array is sent as BYTES, and decoded to numpy's "S" type with as many
# characters as the last dimension of the shape: one for a vector, the number of columns for a table.
# Who is hurt: `frame.to_numpy()` of a DataFrame with text beside numbers is an object array. With two columns 12345 and
# 12999 are the same price, and a text of three letters loses one.
# Instead: one input for each column (PandasCodec), or an array of a numeric dtype; compare one round trip.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mlserver==1.7.1 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - 2>"$folder/warnings" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from mlserver.codecs import NumpyCodec


def round_trip(array):
    sent = NumpyCodec.encode_input("x", array)
    return NumpyCodec.decode_input(type(sent).model_validate_json(sent.model_dump_json())).ravel().tolist()


print("mlserver", version("mlserver"))
seen = [
    round_trip(np.array([12345, 7], dtype=object)),
    round_trip(pd.DataFrame({"price": [12345, 12999], "kind": ["new", "old"]}).to_numpy()),
    str(round_trip(np.array([1.0, np.inf, -np.inf]))),
]
print("object array of 12345 and 7: expected these; seen", seen[0])
print("rows [12345, 'new'] and [12999, 'old']: expected these; seen", seen[1])
print("1.0, inf and -inf: expected these; seen", seen[2])
stated = [[b"1", b"7"], [b"12", b"ne", b"12", b"ol"], "[1.0, nan, nan]"]
sys.exit(0 if seen == stated else "The behaviour has changed.")
PYTHON
