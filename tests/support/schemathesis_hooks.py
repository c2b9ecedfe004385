"""What schemathesis must know besides the document; it imports this by its name in ``SCHEMATHESIS_HOOKS``."""

from __future__ import annotations

from typing import Any

import schemathesis


def _without_point(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_without_point(element) for element in value]
    return {key: _without_point(part) for key, part in value.items()} if isinstance(value, dict) else value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Write whole numbers of ``ints``, and ids, without a decimal point: for JSON Schema 1.0 is one too, here not."""
    path = context.operation.path
    return _without_point(body) if path == "/ints/predict" or path.endswith("/update") else body
