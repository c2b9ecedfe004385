"""The adapter is picked by the kind of model in the folder."""

from __future__ import annotations

import json

import cloudpickle
import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.runtime.model_container.loader import load_model


def write_function(folder, func=len):
    (folder / "func.pkl").write_bytes(cloudpickle.dumps(func))


def write_metadata(folder, **metadata):
    (folder / "metadata.json").write_text(json.dumps(metadata))


def test_python_closure_is_loaded_by_its_kind(tmp_path):
    write_function(tmp_path, lambda inputs: [value * 2 for value in inputs])
    write_metadata(tmp_path, kind="python_closure", input_type="doubles")
    assert load_model(tmp_path).predict([1, 2]) == [2, 4]


def test_folder_without_metadata_holds_a_python_function(tmp_path):
    """As Clipper's own folders do."""
    write_function(tmp_path)
    assert load_model(tmp_path).predict(["a", "b"]) == 2


def test_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    write_function(tmp_path)
    write_metadata(tmp_path, kind="fortran")
    with pytest.raises(InvalidRequestError, match=r"kind 'fortran'; known: .*python_closure"):
        load_model(tmp_path)
