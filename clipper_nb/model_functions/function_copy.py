"""Unpickles a function in the notebook as a replica does: as a copy, which leaves the notebook's classes alone.

cloudpickle remembers each class that it pickled. Where it unpickles one again it takes the notebook's own class and
sets all attributes to what the pickle holds: what was set since is lost, and the methods no longer see what is assigned
in the notebook later.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

_MODULE = "cloudpickle.cloudpickle"
_POSITION_OF_TRACKER = {"_make_skeleton_class": 4, "_make_skeleton_enum": 5}
"""Position of the argument by which these find the class that they made before; with ``None`` they make another."""


def unpickle_copy(pickled: bytes) -> Any:
    """Return the pickled object; exceptions of unpickling pass through."""
    return _CopyingUnpickler(io.BytesIO(pickled)).load()


class _CopyingUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what the pickle names."""
        found = super().find_class(module, name)
        position = _POSITION_OF_TRACKER.get(name) if module == _MODULE else None
        return found if position is None else _make_untracked(found, position)


def _make_untracked(make: Callable[..., Any], position: int) -> Callable[..., Any]:
    def make_untracked(*arguments: Any) -> Any:
        return make(*arguments[:position], None, *arguments[position + 1 :])

    return make_untracked
