"""The process that runs one replica of a model version: loads the model, connects, predicts.

Any object with ``predict(inputs)`` can be served; :func:`serve` does the rest.
"""

from __future__ import annotations

from clipper_nb.runtime.model_container.client import Model, serve
from clipper_nb.runtime.model_container.settings import ModelContainerSettings, model_container_settings

__all__ = ["Model", "ModelContainerSettings", "model_container_settings", "serve"]
