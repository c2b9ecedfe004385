"""What a model container is told by environment variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.runtime.model_container.settings import model_container_settings

NEEDED = {"CLIPPER_MODEL_NAME": "digits-net", "CLIPPER_MODEL_VERSION": "1"}


def test_everything_is_read():
    settings = model_container_settings(
        {
            **NEEDED,
            "CLIPPER_IP": "frontend",
            "CLIPPER_PORT": "7001",
            "CLIPPER_INPUT_TYPE": " Ints ",
            "CLIPPER_MODEL_PATH": "/models/digits",
            "CLIPPER_LOAD_TIMEOUT_S": "2.5",
            "CLIPPER_HANG_TIMEOUT_S": "120",
        }
    )
    assert settings.model_id == ("digits-net", "1")
    assert settings.input_type is InputType.INTEGERS
    assert settings.frontend_addresses == ("frontend:7001",)
    assert settings.model_path == Path("/models/digits")
    assert settings.load_timeout_s == 2.5
    assert settings.hang_timeout_s == 120.0


@pytest.mark.parametrize("empty", ["missing", "empty"])
def test_defaults_are_clippers(empty):
    names = ("CLIPPER_IP", "CLIPPER_PORT", "CLIPPER_INPUT_TYPE", "CLIPPER_MODEL_PATH", "CLIPPER_LOAD_TIMEOUT_S")
    settings = model_container_settings({**NEEDED, **({} if empty == "missing" else dict.fromkeys(names, ""))})
    assert settings.frontend_addresses == ("127.0.0.1:7000",)
    assert settings.input_type is InputType.DOUBLES
    assert settings.model_path == Path("/model")
    assert settings.load_timeout_s is None
    assert settings.hang_timeout_s == 30.0


@pytest.mark.parametrize("name", sorted(NEEDED))
@pytest.mark.parametrize("value", [None, ""])
def test_missing_variable_is_named(name, value):
    variables = {**NEEDED, name: value}
    if value is None:
        del variables[name]
    with pytest.raises(InvalidRequestError, match=name):
        model_container_settings(variables)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLIPPER_MODEL_NAME", "Digits"),
        ("CLIPPER_MODEL_VERSION", "1:2"),
        ("CLIPPER_INPUT_TYPE", "booleans"),
        ("CLIPPER_LOAD_TIMEOUT_S", "soon"),
        ("CLIPPER_HANG_TIMEOUT_S", "never"),
        ("CLIPPER_PORT", "rpc"),
    ],
)
def test_wrong_variable_is_refused(name, value):
    with pytest.raises(InvalidRequestError) as info:
        model_container_settings({**NEEDED, name: value})
    assert value in str(info.value)
