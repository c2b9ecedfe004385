#!/bin/bash
# tritonclient 2.73.0 sends the text "b'cat'" for the bytes b"cat" when they are numpy's own bytes.
# Seen: `InferInput.set_data_from_numpy` of an object array whose elements are `np.bytes_` sends their `repr`
# ("b'cat'"), and "None" for None. The server answers as if these were the words.
# Expected: b"cat", and an error for None. The docstring says "the numpy array should use dtype of np.object", and
# `np.bytes_` is a subclass of `bytes`. Cause: `type(item) == bytes`, not isinstance, and `str(item)` for the rest.
# Who is hurt: clients that gather rows into a batch. Items of an array of dtype "S" are `np.bytes_`: the array itself
# is sent right, and the same rows in an object array are sent wrong. Tokenizers and lookup tables answer "unknown",
# and nothing fails.
# Instead: `[bytes(item) for item in items]`; a server that reads BYTES should be shown one real request of each client.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'tritonclient[http]==2.73.0' numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import deserialize_bytes_tensor


def sent(array):
    tensor = InferInput("x", list(array.shape), "BYTES")
    tensor.set_data_from_numpy(array, binary_data=True)
    body, header_size_bytes = InferenceServerClient.generate_request_body([tensor])
    return deserialize_bytes_tensor(body[header_size_bytes:]).tolist()


print("tritonclient", version("tritonclient"))
words = np.array([b"cat", b"horse"])
gathered = np.array(list(words), dtype=object)
print("equal to the array:", bool(np.all(gathered == words)), "subclass of bytes:", isinstance(gathered[0], bytes))
seen = [sent(words), sent(gathered), sent(np.array([b"cat", None], dtype=object))]
print("array of dtype S5:", seen[0])
print("the same in an object array: expected the same; seen", seen[1])
print("with None: expected an error; seen", seen[2])
stated = [[b"cat", b"horse"], [b"b'cat'", b"b'horse'"], [b"cat", b"None"]]
sys.exit(0 if seen == stated else "The behaviour has changed.")
PYTHON
