"""The operation ``POST /<application>/update`` of the OpenAPI document. (pure)"""

from __future__ import annotations

from typing import Any

from clipper_nb.protocol.predict_schema import KEY_PATTERN

FEEDBACK = {
    "type": "object",
    "description": "What became of a feedback.",
    "required": ["counted", "query_id", "scores", "cause"],
    "properties": {
        "counted": {"type": "boolean", "description": "Whether it was counted: each query counts once."},
        "query_id": {"type": "integer", "description": "The query that it was matched to."},
        "scores": {
            "type": "object",
            "description": "What was counted for each version that answered, as `name:version`.",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "cause": {"type": "string", "description": "Why it was not counted; empty if it was."},
    },
}
"""The reply."""

NOT_ANSWERED = "There is no such application, or it has not answered that query, or does not keep it any more."

_WHICH = {
    "query_id": {"type": "integer", "minimum": 0, "description": "Of the answer."},
    "key": {
        "anyOf": [{"type": "string", "pattern": KEY_PATTERN}, {"type": "integer"}],
        "description": "The last query with this key.",
    },
}
_UID = {
    "anyOf": [{"type": "string"}, {"type": "integer"}],
    "description": "As Clipper has it: the key of that query; 0 is any.",
}
_HOW_GOOD = {
    "label": {"description": "The right output, which is compared with the one that was answered."},
    "score": {"type": "number", "minimum": 0, "maximum": 1, "description": "From 0 (useless) to 1 (perfect)."},
}


def feedback_schema(input_schema: Any) -> dict[str, Any]:
    """Return the schema of a body; *input_schema* is that of one input."""
    which = {**_WHICH, "input": {**input_schema, "description": "The last query with this input."}}
    forms = []
    for meant, schema in which.items():
        for told, good in _HOW_GOOD.items():
            properties = {meant: schema, told: good, **({"uid": _UID} if meant == "input" else {})}
            forms.append(
                {
                    "title": f"{meant} and {told}",
                    "type": "object",
                    "required": [meant, told],
                    "properties": properties,
                    "additionalProperties": False,
                }
            )
    return {"oneOf": forms}


FEEDBACK_EXAMPLES = {
    "label": {"summary": "The right output", "value": {"query_id": 17, "label": 7}},
    "score": {"summary": "How good it was", "value": {"query_id": 17, "score": 0.5}},
}
