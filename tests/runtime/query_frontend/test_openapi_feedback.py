"""The schema of feedback allows what the frontend accepts."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.feedback import parse_feedback
from clipper_nb.protocol.input_schemas import input_schema
from clipper_nb.protocol.input_types import InputType
from clipper_nb.runtime.query_frontend.openapi_feedback import FEEDBACK_EXAMPLES, feedback_schema

SCHEMA = jsonschema_rs.Draft202012Validator(feedback_schema(input_schema(InputType.DOUBLES)))


@pytest.mark.parametrize(
    ("body", "is_legal"),
    [
        *((example["value"], True) for example in FEEDBACK_EXAMPLES.values()),
        ({"query_id": 1, "label": None}, True),
        ({"key": "ann", "label": {"a": 1}}, True),
        ({"key": 5, "score": 1}, True),
        ({"input": [1.5], "label": 1.0, "uid": 0}, True),
        ({"input": [1.5], "score": 0.5}, True),
        ({"input": ["x"], "score": 0.5}, False),
        ({"query_id": 1}, False),
        ({"label": 1}, False),
        ({"query_id": 1, "key": "a", "label": 1}, False),
        ({"query_id": 1, "label": 1, "score": 1}, False),
        ({"query_id": 1, "score": 1.5}, False),
        ({"query_id": 1, "score": 1, "more": 1}, False),
    ],
)
def test_schema_allows_what_is_accepted(body: Any, is_legal: bool) -> None:
    assert SCHEMA.is_valid(body) == is_legal
    try:
        parse_feedback(json.dumps(body).encode(), InputType.DOUBLES)
    except InvalidInputError:
        assert not is_legal
    else:
        assert is_legal
