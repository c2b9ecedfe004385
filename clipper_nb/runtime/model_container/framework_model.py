"""A model in its framework's own format as a model, with a function around it."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.frameworks.framework_function import FrameworkFunction
from clipper_nb.model_functions.frameworks.loaders import load_saved_model
from clipper_nb.protocol.model_folder import FRAMEWORK_MODEL_FOLDER, FrameworkMetadata
from clipper_nb.runtime.model_container.notebook_main import load_pickled
from clipper_nb.runtime.model_container.python_model import PythonModel, load_function


def load_framework_model(folder: Path, metadata: FrameworkMetadata) -> PythonModel:
    """Return the function and the model in *folder*.

    The function comes first: classes of the notebook that travel with it are then there for the model.

    Raises
    ------
    ImportError
        The framework is missing, or a module that the function needs.
    """
    function = AwaitingFunction(load_function(folder))
    saved = folder / FRAMEWORK_MODEL_FOLDER
    model = load_saved_model(metadata.framework, saved, metadata.facts, lambda name: load_pickled(folder, name))
    return PythonModel(FrameworkFunction(function, model))
