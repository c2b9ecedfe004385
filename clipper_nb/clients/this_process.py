"""How this process is named to others: the holder of a claim."""

from __future__ import annotations

import os
import platform


def this_process() -> str:
    """Return its id and its machine, for a person to read."""
    return f"process {os.getpid()} on {platform.node() or 'this machine'}"
