"""R in the process of the tests: what it puts into the environment is there for its own tests alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

_FOUND: dict[str, str] = {}
"""What R added when it started in this process, which it does once."""


@contextlib.contextmanager
def r_running() -> Iterator[Any]:
    """Yield ``rpy2.robjects.r``, with the environment that a notebook has in which R runs.

    Afterwards it is as before: children of later tests would be run with R's libpython, not with theirs.
    """
    before = dict(os.environ)
    try:
        from rpy2.robjects import r

        _FOUND.update({name: value for name, value in os.environ.items() if before.get(name) != value})
        os.environ.update(_FOUND)
        yield r
    finally:
        os.environ.clear()
        os.environ.update(before)
