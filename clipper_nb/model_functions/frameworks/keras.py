"""A model of Keras 3, with the backend that it was deployed with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.number_rows import stack_rows

MODEL_FILE = "model.keras"
CUSTOM_OBJECTS_FILE = "framework_model.pkl"
"""Classes and functions of the user's that the model names, pickled beside the folder of the model."""


def load(folder: Path, facts: Mapping[str, Any], load_pickled: Callable[[str], Any]) -> Any:
    """Return the model; it is not compiled, which only training needs."""
    os.environ["KERAS_BACKEND"] = facts["backend"]
    import keras

    custom_objects = load_pickled(CUSTOM_OBJECTS_FILE)() if facts["has_custom_objects"] else None
    # The file comes from whoever deployed the function beside it, so lambda layers are as trusted as that.
    return keras.saving.load_model(folder / MODEL_FILE, custom_objects=custom_objects, compile=False, safe_mode=False)


def predict_rows(model: Any, inputs: Sequence[Any]) -> Any:
    """Return what the model returns for a row per input, of its input's shape: what is deployed without a function."""
    import numpy as np

    rows = np.array(inputs, dtype=object) if isinstance(inputs[0], str) else stack_rows(inputs)
    of_one = model.input_shape[1:]
    if None not in of_one:
        rows = rows.reshape(len(rows), *of_one)
    return model.predict_on_batch(rows)
