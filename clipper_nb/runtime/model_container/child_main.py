"""What a spawned child process of a model has as its ``__main__``: the classes and functions of the notebook.

A forked child has its parent's. Pickles that the processes exchange name these as ``__main__.Clip``. The model is
loaded when the first such name is asked for: children of ``joblib``, which exchange code by value, never need it.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from clipper_nb.protocol.model_folder import FUNCTION_FILE
from clipper_nb.runtime.model_container.notebook_main import load_pickled
from clipper_nb.runtime.model_container.settings import model_folder

_CHILD_NAME = "__mp_main__"
"""The name that multiprocessing gives to this module in a child."""


def __getattr__(name: str) -> Any:
    """Return a class, function or variable that travelled from the notebook."""
    if __name__ == _CHILD_NAME and not name.startswith("__"):
        found = _load_notebook()
        if name in found:
            return found[name]
    raise AttributeError(f"module '__main__' has no attribute {name!r}")


@functools.cache
def _load_notebook() -> dict[str, Any]:
    variables = vars(sys.modules[_CHILD_NAME])
    load_pickled(model_folder(), FUNCTION_FILE, variables)
    return variables
