#!/bin/bash
# urllib3 2.8.0 sends a retried request without its body when the body came from a generator.
# Seen: POST with `body=generator` and `Retry(status_forcelist=[503])`; the server answers 503 once. The second request
# has an empty chunked body, the server answers 200, and the caller sees a success.
# Expected: the same body, or an error. `body` is documented as "an iterable of str/bytes, or a file-like object", and a
# file that cannot be rewound raises UnrewindableBodyError; the check is made for objects that have `tell` only, so a
# spent generator passes as a body that needs no rewinding.
# Who is hurt: a client that streams rows or an upload through a proxy that restarts: a batch is scored as zero rows, or
# a model is stored as zero bytes, with status 200. A retry after a lost connection does the same.
# Instead: pass bytes, a file, or an object whose `__iter__` begins anew; let a server refuse empty bodies.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q urllib3==2.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import urllib3

bodies = []


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        bodies.append(body)
        self.send_response(503 if len(bodies) == 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


class Rows:
    def __iter__(self):
        return iter([b"row 1,", b"row 2"])


def post(body):
    bodies.clear()
    retry = urllib3.Retry(2, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
    with urllib3.PoolManager(retries=retry) as pool:
        response = pool.request("POST", f"http://127.0.0.1:{server.server_port}/", body=body, timeout=10)
    return response.status, list(bodies)


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("urllib3", urllib3.__version__)
file, rows, generator = post(io.BytesIO(b"row 1,row 2")), post(Rows()), post(row for row in [b"row 1,", b"row 2"])
print("a file:", file)
print("an iterable that begins anew:", rows)
print("a generator: expected the same, or an error; seen", generator)
server.shutdown()
sys.exit(0 if generator == (200, [b"row 1,row 2", b""]) else "The behaviour has changed.")
PYTHON
