"""The JSON Schema of a version's inputs: checked when it is registered, compiled where it is used. (pure)"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.number_columns import check_columns

LOCAL_TIME = "date-time-local"
"""OpenAPI's name of the format of a time without a zone."""
_ZONE = re.compile(r"([Zz]|[-+]\d\d:?\d\d)\Z")
JsonSchema = Mapping[str, Any]

MAX_SCHEMA_SIZE_BYTES = 256 * 1024
"""Kept small: the configuration, which holds the schema, is sent to every query frontend."""


def compile_schema(schema: JsonSchema) -> Any:
    """Return the validator of a schema.

    Raises
    ------
    InvalidRequestError
        It is no JSON Schema, or refers to another document.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.Draft202012Validator(
            dict(schema), validate_formats=True, formats=_format_checks(), offline=True
        )
    except ValueError as exc:
        reason = getattr(exc, "message", str(exc))
        raise InvalidRequestError(f"The schema of the inputs is no JSON Schema of draft 2020-12: {reason}.") from exc


def check_schema(schema: JsonSchema | None, input_type: InputType) -> None:
    """Return if a version of that type may be registered with the schema.

    Raises
    ------
    InvalidRequestError
        It is no JSON Schema, it is large, or the inputs are not of type ``json``.
    """
    if schema is None:
        return
    if input_type.is_numeric:
        check_columns(schema)
    elif input_type is not InputType.JSON:
        raise InvalidRequestError(
            f"Inputs of type {input_type} have no schema; those of type json and rows of numbers have one."
        )
    size_bytes = len(msgspec.json.encode(schema))
    if size_bytes > MAX_SCHEMA_SIZE_BYTES:
        raise InvalidRequestError(
            f"The schema of the inputs has {size_bytes:,} bytes, more than {MAX_SCHEMA_SIZE_BYTES:,}."
        )
    compile_schema(schema)


def _format_checks() -> dict[str, Callable[[str], bool]]:
    """Return the checks of formats that are stricter in JSON Schema than in Python: a time may have no zone."""
    types = {"date-time": datetime.datetime, "date": datetime.date, "time": datetime.time}
    checks = {name: _reader_of(kind) for name, kind in types.items()}
    return {**checks, LOCAL_TIME: lambda text: checks["date-time"](text) and _ZONE.search(text) is None}


def _reader_of(kind: type) -> Callable[[str], bool]:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)

    def is_readable(text: str) -> bool:
        try:
            decoder.decode(msgspec.json.encode(text))
        except msgspec.ValidationError:
            return False
        return True

    return is_readable
