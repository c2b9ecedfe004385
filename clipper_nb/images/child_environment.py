"""The environment of processes that the notebook starts: they find libraries as it found its own."""

from __future__ import annotations

import os


def child_environment() -> dict[str, str]:
    """Return this process's environment, with libraries found as when this process started if R runs in it by now.

    R, once it runs in a notebook, puts its folders first, and another libpython may lie in them: a child would run
    this Python's program with that one's library.
    """
    variables = dict(os.environ)
    if "R_HOME" not in variables:
        return variables
    import psutil

    variables.pop("LD_LIBRARY_PATH", None)
    at_start = psutil.Process().environ().get("LD_LIBRARY_PATH")
    return variables if at_start is None else {**variables, "LD_LIBRARY_PATH": at_start}
