"""Chooses the adapter for the kind of model in the model's folder."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.protocol.model_folder import PySparkMetadata, RMetadata, read_metadata
from clipper_nb.runtime.model_container.client import Model
from clipper_nb.runtime.model_container.pyspark_model import load_pyspark_model
from clipper_nb.runtime.model_container.python_model import load_python_model
from clipper_nb.runtime.model_container.r_model import load_r_model


def load_model(folder: Path) -> Model:
    """Return the model in *folder*, ready to predict; a folder without metadata holds a Python function."""
    metadata = read_metadata(folder)
    if isinstance(metadata, PySparkMetadata):
        return load_pyspark_model(folder, metadata)
    if isinstance(metadata, RMetadata):
        return load_r_model(folder, metadata)
    return load_python_model(folder)
