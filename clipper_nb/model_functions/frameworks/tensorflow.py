"""A SavedModel of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def load(folder: Path, _facts: Mapping[str, Any], _load_pickled: Callable[[str], Any]) -> Any:
    """Return what ``tf.saved_model.load`` returns: an object with the functions that were saved."""
    import tensorflow

    return tensorflow.saved_model.load(str(folder))
