"""A function of records or of a data frame, called with values of JSON: in the notebook as in replicas."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.lost_digits import check_records
from clipper_nb.protocol.typed_values import describe

_LARGEST_EXACT = 2**53


class Reader(Protocol):
    """Converts a batch of values of JSON to what a function takes."""

    def read(self, values: Sequence[Any]) -> Any:
        """Return the function's argument; raises :class:`InvalidInputError` for a value that does not fit."""


class JsonFunction:
    """Calls ``func(…, argument)`` with what *reader* makes of the list of inputs.

    Parameters
    ----------
    func : callable
    reader : Reader
    """

    def __init__(self, func: Callable[..., Any], reader: Reader) -> None:
        self.func, self._reader = func, reader
        self.__name__ = getattr(func, "__name__", type(func).__name__)

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns; the last argument is the list of inputs."""
        return self.func(*arguments[:-1], self._reader.read(arguments[-1]))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what readers compile."""
        return JsonFunction, (self.func, self._reader)


class RecordReader:
    """Makes objects of a type that msgspec knows: dataclasses, TypedDicts, Structs, attrs, and lists and dicts of them.

    Parameters
    ----------
    record_type : type
        Of one input.
    """

    def __init__(self, record_type: Any) -> None:
        self._type = list[record_type]
        self._record_type = record_type
        describe(self._type)  # which fails at once if the type cannot be used here

    def read(self, values: Sequence[Any]) -> list[Any]:
        """Return a list of records."""
        try:
            records = self._read(values)
        except msgspec.ValidationError as exc:
            raise _refusal(str(exc), values) from None
        check_records(values, records, self._read)
        return records

    def _read(self, values: Sequence[Any]) -> list[Any]:
        try:
            return self._convert(values)
        except msgspec.ValidationError as exc:
            try:
                return self._convert([_with_whole_numbers(value) for value in values])
            except msgspec.ValidationError:
                raise exc from None

    def _convert(self, values: Sequence[Any]) -> list[Any]:
        records: list[Any] = msgspec.convert(values, self._type, str_keys=True)
        return records

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the type."""
        return RecordReader, (self._record_type,)


class PydanticReader:
    """Makes objects of a type that pydantic knows.

    Parameters
    ----------
    record_type : type
        Of one input.
    """

    def __init__(self, record_type: Any) -> None:
        from pydantic import TypeAdapter

        self._record_type = record_type
        self._adapter: Any = TypeAdapter(list[record_type])

    def read(self, values: Sequence[Any]) -> list[Any]:
        """Return a list of records; they are read from JSON, since pydantic is stricter with Python's values."""
        from pydantic import ValidationError

        try:
            records = self._read(values)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
            raise _refusal(f"{first['msg']} - at `${where}`", values) from None
        check_records(values, records, self._read)
        return records

    def _read(self, values: Sequence[Any]) -> list[Any]:
        records: list[Any] = self._adapter.validate_json(json.dumps(values))
        return records

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the type."""
        return PydanticReader, (self._record_type,)


def _refusal(reason: str, values: Sequence[Any]) -> InvalidInputError:
    """Return the error for a batch; the position in it means nothing to the client of a single input."""
    return InvalidInputError(f"{reason.replace('`$[0]', '`$') if len(values) == 1 else reason}.")


def _with_whole_numbers(value: Any) -> Any:
    """Return *value* with 2.0 as 2, which JSON does not distinguish."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_EXACT:
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(part) for part in value]
    return {key: _with_whole_numbers(part) for key, part in value.items()} if isinstance(value, dict) else value
