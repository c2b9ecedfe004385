"""NaN and the infinities in JSON: text for every reader, and floats again for our own client. (pure)

JSON has no such numbers, so they are written as the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, as protobuf's
JSON mapping has them. A tab after the closing quote, which JSON parsers skip, distinguishes them from texts of a model
that are spelled alike.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_TEXT_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|-?Infinity')
_MARKED = re.compile(r'(?<!\\)"(NaN|-?Infinity)"\t')
"""The first quote begins a text: within one, there is a backslash before a quote, and no tab at all."""
_parse: Any = msgspec.json.Decoder().decode


def quote_non_finite(text: str) -> str:
    """Return JSON for *text*, in which ``json`` has written NaN and infinities as bare words."""
    return _TEXT_OR_NUMBER.sub(lambda found: found[0] if found[0][0] == '"' else f'"{found[0]}"\t', text)


def unquoted(text: str) -> str:
    """Return what :func:`quote_non_finite` was given."""
    return _MARKED.sub(r"\1", text)


def parse_json(body: bytes) -> Any:
    """Return the value in *body*, with floats for marked texts; raises ``ValueError`` if it is not JSON."""
    return _parse(body) if b'"\t' not in body else json.loads(unquoted(body.decode()))
