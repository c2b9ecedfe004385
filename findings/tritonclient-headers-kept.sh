#!/bin/bash
# tritonclient 2.73.0 (http) writes its own header into the dict that the caller passes as `headers=`, and leaves it there.
# Seen: after `infer(..., headers=headers)` with a binary tensor, `headers` has "Inference-Header-Content-Length". A later
# `infer()` with the same dict and data as JSON, which needs no such header, sends the size of the earlier request's JSON.
# Expected: a dict with an API key or a trace id is read and not changed, as the other HTTP clients of Python do.
# Who is hurt: clients that keep one dict of headers. A server that follows the binary tensor extension cuts the JSON at
# the old size: a 400 at best. Two threads that share the dict get each other's size.
# Instead: pass a copy: `headers=dict(headers)`.
# The server here is of Python's own library; it records the header and answers like a model that has one output.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'tritonclient[http]==2.73.0' numpy==2.4.6
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import numpy as np
import tritonclient.http as triton

SIZE = "Inference-Header-Content-Length"
received = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append((self.headers[SIZE], len(body)))
        reply = json.dumps(
            {"model_name": "m", "outputs": [{"name": "y", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = triton.InferenceServerClient(f"127.0.0.1:{server.server_port}")
headers = {"X-Trace": "1"}
for is_binary in (True, False):
    tensor = triton.InferInput("x", [1, 2], "FP64")
    tensor.set_data_from_numpy(np.array([[1.0, 2.0]]), binary_data=is_binary)
    outputs = [triton.InferRequestedOutput("y", binary_data=False)]
    client.infer("m", [tensor], outputs=outputs, headers=headers)
(first, _), (second, second_size) = received
print(
    version("tritonclient"), f"caller's dict has {sorted(headers)}", f"second size is the first: {first == second}",
    f"and not its own: {second is not None and int(second) != second_size}", sep=" | ",
)
server.shutdown()
PYTHON
)
echo "$seen"
expected="2.73.0 | caller's dict has ['Inference-Header-Content-Length', 'X-Trace'] | second size is the first: True"
expected="$expected | and not its own: True"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
