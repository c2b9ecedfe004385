"""Checks inputs of type ``json`` before they cost a replica: each is readable, and fits its version's schema. (pure)

The validator is imported where a version has a schema, and compiled from it before the version's first query.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError, InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_inputs import MAX_CHECKED_SIZE_BYTES, UnreadableJsonError, read_json
from clipper_nb.protocol.json_schema import JsonSchema, compile_schema
from clipper_nb.protocol.predict_body import expectation
from clipper_nb.protocol.schema_words import describe_expected, find_part, format_path, shortened

_BY_TYPES = ("type", "anyOf", "oneOf", "enum", "const", "format")
"""Keywords whose failure is told by what the schema expects; others by the validator's own words."""


logger = logging.getLogger(__name__)


class JsonCheck:
    """Checks the inputs of one version.

    Parameters
    ----------
    schema : dict, optional
        What each input must fit (JSON Schema 2020-12); ``None`` for any JSON value.
    name : str
        The version's, for the error text.
    """

    def __init__(self, schema: JsonSchema | None = None, name: str = "") -> None:
        self._schema = schema or {}
        self._name = name
        self._validator: Any = None
        if schema is not None:
            try:
                self._validator = compile_schema(schema)
            except InvalidRequestError as exc:  # one that another release has registered
                logger.warning("inputs of %s are checked by its replicas alone: %s", name, exc)

    def check(self, payloads: Sequence[bytes], *, is_batch: bool, first: int = 0) -> None:
        """Return if all inputs are readable and fit; *first* is the position of the first in its request.

        Inputs above 64 kB were read in pieces before, and only the replica sees whether they fit.

        Raises
        ------
        InvalidInputError
            One is not; the error names query, field, and what is expected.
        """
        for position, payload in enumerate(payloads, first):
            if len(payload) > MAX_CHECKED_SIZE_BYTES:
                continue
            try:
                value = read_json(payload)
            except UnreadableJsonError as exc:
                raise _refusal(str(exc), position if is_batch else None, exc.path[1:]) from exc
            if self._validator is not None and not self._validator.is_valid(value):
                raise self._misfit(value, position if is_batch else None)

    def _misfit(self, value: Any, position: int | None) -> InvalidInputError:
        error = next(self._validator.iter_errors(value))
        path = format_path(error.instance_path)
        return _refusal(self._describe(error, value), position, path, f"model {self._name}")

    def _describe(self, error: Any, value: Any) -> str:
        *part, keyword = error.schema_path or [""]
        if keyword not in _BY_TYPES:
            return str(error.message)
        expected = describe_expected(find_part(self._schema, part), self._schema)
        return f"Expected {expected}, got {shortened(find_part(value, error.instance_path))}"


ANY_JSON = JsonCheck()
"""The check where no schema is known."""


def _refusal(reason: str, position: int | None, path: str, of: str = "") -> InvalidInputError:
    place = f"$.input{path}" if position is None else f"$.input_batch[{position}]{path}"
    told = f" It does not fit the inputs of {of}; get_app_info() shows their schema." if of else ""
    return InvalidInputError(f"{reason} - at `{place}`.{told} {expectation(InputType.JSON)}")
