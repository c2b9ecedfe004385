#!/bin/bash
# kserve 0.21.0 makes a data frame of four rows from a request with a tensor of two rows and two columns.
# Seen: InferRequest.from_bytes() of a V2 request with one FP64 tensor of shape [2, 2]; as_numpy() has two rows,
# as_dataframe() has four rows of one column, with JSON data and with binary data alike. Before a request with binary data is
# sent, as_dataframe() has no row at all. A second tensor of shape [2, 1] leaves NaN beside two of the four rows.
# Expected: as many rows as the first dimension says (the batch), or an error that a matrix has no column names.
# Who is hurt: a model behind KServe that reads its requests as frames and gets a matrix from a client: one that takes any
# column answers four rows where two were asked, and who pairs answers with rows by position pairs the wrong ones.
# Instead: as_numpy() for tensors of rank two; one tensor of rank one for each column where a frame is wanted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q kserve==0.21.0 numpy==2.4.6 pandas==2.3.3
seen=$("$folder/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
import json
from importlib.metadata import version

import numpy as np
from kserve import InferInput, InferRequest

rows = np.array([[1.0, 2.0], [3.0, 4.0]])
print(version("kserve"))
for is_binary in (False, True):
    tensor = InferInput("x", [2, 2], "FP64")
    tensor.set_data_from_numpy(rows, binary_data=is_binary)
    sent = InferRequest("m", [tensor])
    body, json_size = sent.to_rest()
    if not is_binary:
        body = json.dumps(body).encode()
        json_size = len(body)
    received = InferRequest.from_bytes(body, json_size, "m")
    kind = "binary" if is_binary else "JSON"
    print(f"{kind}: {received.inputs[0].as_numpy().tolist()} | {received.as_dataframe().to_dict('list')}")
    print(f"{kind}, before it is sent: {len(sent.as_dataframe())} rows")
both = InferRequest("m", [InferInput("x", [2, 2], "FP64", [1.0, 2.0, 3.0, 4.0]), InferInput("y", [2, 1], "FP64", [5.0, 6.0])])
print(both.as_dataframe().fillna("NaN").to_dict("list"))
PYTHON
)
echo "as_numpy() | as_dataframe()"
echo "$seen"
expected="0.21.0
JSON: [[1.0, 2.0], [3.0, 4.0]] | {'x': [1.0, 2.0, 3.0, 4.0]}
JSON, before it is sent: 4 rows
binary: [[1.0, 2.0], [3.0, 4.0]] | {'x': [1.0, 2.0, 3.0, 4.0]}
binary, before it is sent: 0 rows
{'x': [1.0, 2.0, 3.0, 4.0], 'y': [5.0, 6.0, 'NaN', 'NaN']}"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
