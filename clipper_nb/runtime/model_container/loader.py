"""Picks the adapter for the kind of model that lies in the model's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from clipper_nb.errors import InvalidRequestError
from clipper_nb.runtime.model_container.client import Model
from clipper_nb.runtime.model_container.pyspark_model import load_pyspark_model
from clipper_nb.runtime.model_container.python_model import load_python_model
from clipper_nb.runtime.model_container.r_model import load_r_model

METADATA_FILE = "metadata.json"

_LOADERS: dict[str, Callable[[Path], Model]] = {
    "python_closure": load_python_model,
    "pyspark": load_pyspark_model,
    "r": load_r_model,
}


def load_model(folder: Path) -> Model:
    """Return the model in *folder*, ready to predict; a folder without metadata holds a Python function."""
    metadata_path = folder / METADATA_FILE
    kind = "python_closure"
    if metadata_path.exists():
        kind = json.loads(metadata_path.read_text())["kind"]
    if kind not in _LOADERS:
        raise InvalidRequestError(f"There is no loader for models of kind {kind!r}; known: {', '.join(_LOADERS)}.")
    return _LOADERS[kind](folder)
