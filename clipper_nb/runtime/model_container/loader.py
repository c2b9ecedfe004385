"""Chooses the adapter for the kind of model in the model's folder."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.protocol.model_folder import FrameworkMetadata, PySparkMetadata, RMetadata, read_metadata
from clipper_nb.runtime.model_container.client import Model


def load_model(folder: Path) -> Model:
    """Return the model in *folder*, ready to predict; a folder without metadata holds a Python function.

    Each replica imports only the adapter that it needs: that for R imports NumPy, which many functions do without.
    """
    metadata = read_metadata(folder)
    if isinstance(metadata, PySparkMetadata):
        from clipper_nb.runtime.model_container.pyspark_model import load_pyspark_model

        return load_pyspark_model(folder, metadata)
    if isinstance(metadata, RMetadata):
        from clipper_nb.runtime.model_container.r_model import load_r_model

        return load_r_model(folder, metadata)
    if isinstance(metadata, FrameworkMetadata):
        from clipper_nb.runtime.model_container.framework_model import load_framework_model

        return load_framework_model(folder, metadata)
    from clipper_nb.runtime.model_container.python_model import load_python_model

    return load_python_model(folder)
