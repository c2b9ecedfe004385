"""Connections that are kept, also across a fork."""

from __future__ import annotations

import os
import subprocess
import sys

_SCRIPT = """
import os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from clipper_nb.clients.http_client import HttpClient

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = str(self.client_address[1]).encode()  # one per connection
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = HttpClient(f"127.0.0.1:{server.server_port}", "a server")

def ask():
    return int(client.request("GET", "/", timeout_s=10)[1])

first = ask()
read_end, write_end = os.pipe()
if os.fork() == 0:
    os.write(write_end, str(ask()).encode())
    os._exit(0)
in_child = int(os.read(read_end, 100))
os.wait()
print(ask() == first, in_child == first)
"""


def test_a_connection_is_kept_but_not_shared_with_a_forked_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env={**os.environ, "PYTHONPATH": os.getcwd()}, timeout=60,
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "False"]
