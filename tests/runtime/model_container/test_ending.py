"""How a replica that hangs is ended."""

from __future__ import annotations

import subprocess
import sys

from clipper_nb.protocol.environment import HUNG_EXIT_STATUS

HANGING = """
import logging, sys, threading
from clipper_nb.runtime.model_container.ending import end_hung

def hang():
    logging.getLogger().handlers[0].acquire()
    is_hanging.set()
    threading.Event().wait()

logging.basicConfig()
is_hanging = threading.Event()
threading.Thread(target=hang).start()
is_hanging.wait()
sys.stderr = None
end_hung("it is busy.")
"""


def test_hung_replica_ends_and_says_where_it_hangs():
    ended = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60)
    assert ended.returncode == HUNG_EXIT_STATUS
    assert ended.stderr.startswith("clipper_nb ends this replica: it is busy.\n")
    assert "in hang" in ended.stderr
