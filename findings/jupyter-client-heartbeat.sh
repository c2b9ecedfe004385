#!/bin/bash
# jupyter_client 8.10.0: a heartbeat channel that is stopped just after its start never ends, and opens sockets.
# Seen: `stop()` before the thread has opened its first socket. `stop()` sets "not running", the thread then sets
# "running" over it; the event that ends its waits is set for good, so each round lasts no time, finds no answer and
# opens another ZMQ socket; `stop()` waits for the thread for ever.
# Expected: "Stop the channel's event loop and join its thread", says the docstring of `stop`; nothing asks for a pause
# between `start_channels()` and `stop_channels()`.
# Who is hurt: short-lived kernel clients (tests, notebook runners, health checks) on a busy machine: now and then one
# hangs with a full core until it has no file descriptors left, and takes the other connections of its process with it.
# Instead: `client.start_channels(hb=False)` where no code asks for heartbeats. The interleaving is made certain here by
# a context whose first `socket()` waits, as it does on a busy machine; it is ended after 300 sockets.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q jupyter_client==8.10.0 pyzmq==27.3.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading
import time

import jupyter_client
import zmq
from jupyter_client.channels import HBChannel
from jupyter_client.session import Session

MAX_SOCKETS = 300


class SlowContext(zmq.Context):
    """A context whose first socket takes until the channel has been told to stop."""

    def socket(self, *args, **kwargs):
        opened.append(time.monotonic())
        if len(opened) == 1:
            was_told_to_stop.wait(10)
        if len(opened) > MAX_SOCKETS:
            channel._running = False  # this demonstration ends here; the channel itself would go on
        return super().socket(*args, **kwargs)


opened, was_told_to_stop = [], threading.Event()
with zmq.Context() as other, other.socket(zmq.REP) as kernel:
    port = kernel.bind_to_random_port("tcp://127.0.0.1")
    channel = HBChannel(SlowContext(), Session(), ("127.0.0.1", port))
    channel.start()
    stopper = threading.Thread(target=channel.stop, daemon=True)
    stopper.start()
    while not channel._exit.is_set():
        time.sleep(0.001)
    was_told_to_stop.set()
    stopper.join(20)
    print("jupyter_client", jupyter_client.__version__)
    print(f"sockets opened after stop(): expected 1 at the most; seen {len(opened)} (ended here)")
    print(f"stop() returned without help: expected True; seen {len(opened) <= MAX_SOCKETS}")
sys.exit(0 if len(opened) > MAX_SOCKETS else "The behaviour has changed.")
PYTHON
