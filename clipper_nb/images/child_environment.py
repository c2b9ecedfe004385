"""The environment of processes that the notebook starts: they find libraries as it found its own."""

from __future__ import annotations

import os


def child_environment() -> dict[str, str]:
    """Return this process's environment; if R runs in it, with the library path of the process's start.

    Once R runs in a notebook, it puts its folders first, and these may contain another libpython: a child would run
    this Python's program with that library.
    """
    variables = dict(os.environ)
    if "R_HOME" not in variables:
        return variables
    import psutil

    variables.pop("LD_LIBRARY_PATH", None)
    at_start = psutil.Process().environ().get("LD_LIBRARY_PATH")
    return variables if at_start is None else {**variables, "LD_LIBRARY_PATH": at_start}
