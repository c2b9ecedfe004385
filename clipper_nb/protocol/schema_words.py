"""What a JSON Schema expects, in words, and where a value does not fit it. (pure)"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from clipper_nb.protocol.number_columns import columns_of, describe_columns

_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_FORMATS = {
    "date-time": 'a time as "2024-02-29T12:00:00Z"',
    "date-time-local": 'a time as "2024-02-29T12:00:00", without a zone',
    "date": 'a date as "2024-02-29"',
    "time": 'a time of day as "12:00:00"',
    "duration": 'a duration as "PT1.5S"',
    "uuid": 'a UUID as "6bb02b44-3b2b-4f43-9c0e-6d1f0e2f9a11"',
}
_DEEPEST = 10
_MAX_CHOICES = 20
_MAX_FIELDS = 30
_VALUE_LENGTH = 60
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def describe_expected(schema: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """Return what values of a part of the schema *root* are: ``"a number or null"``."""
    if depth > _DEEPEST or not isinstance(schema, Mapping):
        return "another value"
    if "$ref" in schema:
        return describe_expected(_follow(schema["$ref"], root), root, depth + 1)
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices:
        some = [shortened(choice) for choice in choices[:_MAX_CHOICES]]
        more = [f"… ({len(choices)} in all)"] if len(choices) > _MAX_CHOICES else []
        return ("one of " if len(choices) > 1 else "") + ", ".join([*some, *more])
    several = schema.get("anyOf") or schema.get("oneOf")
    if several:
        return " or ".join(dict.fromkeys(describe_expected(each, root, depth + 1) for each in several))
    kinds = schema.get("type", [])
    names = [_TYPES.get(kind, str(kind)) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if "format" in schema and names:
        names[0] = _FORMATS.get(schema["format"], f"{names[0]} of the format {schema['format']}")
    return " or ".join(names) or "another value"


def describe_fields(schema: Mapping[str, Any]) -> str:
    """Return what one input is: ``'{"age": a number or null, "sex": text (optional)}'``, or not an object at all."""
    part = schema
    for _ in range(_DEEPEST):
        part = _follow(part["$ref"], schema) if isinstance(part, Mapping) and "$ref" in part else part
    columns = columns_of(part) if isinstance(part, Mapping) else None
    if columns:
        return describe_columns(columns)
    fields = part.get("properties") if isinstance(part, Mapping) else None
    if not fields:
        return describe_expected(part, schema)
    required = part.get("required", ())
    told = [
        f'"{name}": {describe_expected(value, schema)}{"" if name in required else " (optional)"}'
        for name, value in list(fields.items())[:_MAX_FIELDS]
    ]
    return "{" + ", ".join([*told, *(["…"] if len(fields) > _MAX_FIELDS else [])]) + "}"


def find_part(root: Any, path: Sequence[Any]) -> Any:
    """Return the part of a value at *path*; ``None`` where there is none."""
    part = root
    for key in path:
        try:
            part = part[key]
        except (LookupError, TypeError):
            return None
    return part


def _follow(reference: str, root: Mapping[str, Any]) -> Any:
    names = [name.replace("~1", "/").replace("~0", "~") for name in reference.lstrip("#/").split("/")]
    return find_part(root, names)


def format_path(path: Sequence[str | int]) -> str:
    """Return where a part of a value is: ``".rows[2].age"``, ``"['first name']"``."""
    return "".join(f".{key}" if isinstance(key, str) and _PLAIN_NAME.match(key) else f"[{key!r}]" for key in path)


def shortened(value: Any) -> str:
    """Return a value as JSON, of which the error texts show the beginning."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 1]}…"
