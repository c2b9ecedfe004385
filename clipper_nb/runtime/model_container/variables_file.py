"""Variables of a version that come in a file: the program begins again with them, as if it had had them all along."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from clipper_nb.protocol import environment
from clipper_nb.protocol.environment_variables import decode_variables


def begin_with_variables() -> None:
    """Replace this program by itself with the variables of its file in the environment; return if it has none.

    Some are read once, when a process begins: by the C library, by Python, by libraries at their import.
    """
    path = os.environ.pop(environment.VARIABLES_FILE, None)
    if path:
        variables = decode_variables(Path(path).read_text())
        names = os.environ.get(environment.CONTAINER_VARIABLES, "").split()
        kept = {name: os.environ[name] for name in names if name in os.environ}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **variables, **kept})
