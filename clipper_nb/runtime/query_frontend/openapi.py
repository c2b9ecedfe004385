"""The applications as an OpenAPI 3.1 document: one operation for each, as the configuration has them. (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from clipper_nb.protocol import rest
from clipper_nb.protocol.input_schemas import input_schema
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.predict_schema import KEY_PATTERN
from clipper_nb.protocol.records import DEFAULT_REASONS
from clipper_nb.runtime.query_frontend.catalogue import CataloguedApplication
from clipper_nb.runtime.query_frontend.openapi_feedback import (
    FEEDBACK,
    FEEDBACK_EXAMPLES,
    NOT_ANSWERED,
    feedback_schema,
)
from clipper_nb.version import __version__

_JSON = "application/json"
_DESCRIPTION = (
    "The applications of this cluster. Each answers by its SLO: with the model's output, or with its default output, "
    "`default: true` and the reason."
)
_PREDICTION = {
    "type": "object",
    "description": "The answer to one input.",
    "required": ["query_id", "output", "default"],
    "properties": {
        "query_id": {"type": "integer", "description": "Number of the query at this frontend."},
        "output": {"description": "The model's output as JSON; the default output when `default` is true."},
        "default": {"type": "boolean", "description": "Whether the output is the application's default output."},
        "default_reason": {"type": "string", "enum": list(DEFAULT_REASONS)},
        "default_explanation": {"type": "string"},
        "model": {"type": "string", "description": "The version that was asked, as `name:version`."},
        "confidence": {
            "type": "number",
            "description": "Where several versions were asked: the share of their weight that agrees, from 0 to 1.",
        },
        "models_used": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Where several versions were asked: those that answered in time.",
        },
    },
}
_PREDICTIONS = {
    "type": "object",
    "description": "The answers to a batch, in the order of its inputs.",
    "required": ["batch_predictions"],
    "properties": {"batch_predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}},
}
_ERROR = {
    "type": "object",
    "description": "Why a request was not answered.",
    "required": ["error", "cause"],
    "properties": {"error": {"type": "string"}, "cause": {"type": "string"}},
}
_ERRORS = {
    "400": "The body is not JSON, or not what the application takes; the cause names the first bad position.",
    "404": "There is no such application.",
    "413": "The body is too large.",
    "503": "The frontend sheds load; try again after `Retry-After` seconds.",
}
_KEY = {
    "anyOf": [{"type": "string", "pattern": KEY_PATTERN}, {"type": "integer"}],
    "description": "Chooses the version where several answer: requests with the same key are answered by the same one.",
}
_BAD_TOKEN = "The token is missing, or not good for this path."


def openapi_pieces(applications: Iterable[CataloguedApplication], *, needs_token: bool) -> Iterator[bytes]:
    """Yield the document in pieces, one for each application; none takes long.

    Parameters
    ----------
    applications : iterable of CataloguedApplication
    needs_token : bool
        Whether the cluster asks for a token.
    """
    errors = {**_ERRORS, "401": _BAD_TOKEN} if needs_token else _ERRORS
    components: dict[str, Any] = {
        "schemas": {
            "Prediction": _PREDICTION,
            "Predictions": _PREDICTIONS,
            "Feedback": FEEDBACK,
            "Error": _ERROR,
        },
        "responses": {
            f"Error{status}": {"description": why, "content": {_JSON: {"schema": _reference("schemas", "Error")}}}
            for status, why in errors.items()
        },
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Applications", "version": __version__, "description": _DESCRIPTION},
        # Relative to this document: behind a proxy its folder is the frontend's root too.
        "servers": [{"url": "./"}],
        "components": components,
    }
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    responses = {status: _reference("responses", f"Error{status}") for status in sorted(errors)}
    yield rest.format_body(document).removesuffix(b"}") + b',"paths":{'
    separator = b""
    for described in applications:
        path = rest.format_body(f"/{described.predict_path}")
        yield separator + path + b":" + rest.format_body({"post": _operation(described, responses)})
        separator = b","
        path = rest.format_body(f"/{described.name}/update")
        yield separator + path + b":" + rest.format_body({"post": _feedback_operation(described, responses)})
    yield b"}}"


def _operation(described: CataloguedApplication, errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": f"predict_{described.name}",
        "summary": f"Predict with {described.name}",
        "description": _describe(described),
        "tags": ["Applications"],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": _request_schema(described), "examples": _request_examples(described)}},
        },
        "responses": {"200": _answer(described), **errors},
    }


def _feedback_operation(described: CataloguedApplication, errors: dict[str, Any]) -> dict[str, Any]:
    counted, failure = ({_JSON: {"schema": _reference("schemas", name)}} for name in ("Feedback", "Error"))
    return {
        "operationId": f"update_{described.name}",
        "summary": f"Say how good an answer of {described.name} was",
        "description": "It is counted for the version that answered, once for each query.",
        "tags": ["Applications"],
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {
                    "schema": feedback_schema(input_schema(described.application.input_type)),
                    "examples": FEEDBACK_EXAMPLES,
                }
            },
        },
        "responses": {
            "200": {"description": "What was counted.", "content": counted},
            **errors,
            "404": {"description": NOT_ANSWERED, "content": failure},
        },
    }


def _describe(described: CataloguedApplication) -> str:
    within = f"Answers within {described.slo_text}"
    if described.linked_model is None:
        return f"{within}, with the default output: no model is linked."
    if described.traffic:
        return f"{within}, by one of several versions: {described.traffic}."
    if described.model_id is None:
        return f"{within}, with the default output: model `{described.linked_model}` has no current version."
    return f"{within}, by model `{described.model_id}`."


def _request_schema(described: CataloguedApplication) -> dict[str, Any]:
    choice = {"version": _version_schema(described.versions), "key": _KEY}
    one = _at(f"{_place(described)}/oneOf/0/properties/input", described.input_schema)
    several = _at(f"{_place(described)}/oneOf/1/properties/input_batch/items", described.input_schema)
    batch = {"type": "array", "items": several, "maxItems": MAX_BATCH_INPUTS}
    return {"oneOf": [_body("One input", "input", one, choice), _body("Several inputs", "input_batch", batch, choice)]}


def _place(described: CataloguedApplication) -> str:
    """Return the pointer to the schema of an application's requests, within the document."""
    path = f"/{described.predict_path}".replace("~", "~0").replace("/", "~1")
    return f"#/paths/{path}/post/requestBody/content/application~1json/schema"


def _at(place: str, schema: Any) -> Any:
    """Return a schema as it must be at that place of the document: its references begin at the document's root."""
    if isinstance(schema, list):
        return [_at(place, part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {name: _at(place, part) for name, part in schema.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference[1:]
    return moved


def _body(title: str, key: str, schema: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "required": [key],
        "properties": {key: schema, **choice},
        "additionalProperties": False,
    }


def _version_schema(versions: tuple[str, ...] | None) -> dict[str, Any]:
    """Return the schema of ``version``: a registered version of the linked model; without a model it says nothing."""
    about = {"description": "A registered version of the linked model, in place of the current one."}
    if versions is None:
        return {"anyOf": [{"type": "string"}, {"type": "integer"}], **about}
    numbers = [int(version) for version in versions if version.isdecimal() and str(int(version)) == version]
    texts = {"type": "string", "enum": list(versions)}
    return {"anyOf": [texts, {"type": "integer", "enum": numbers}], **about} if numbers else {**texts, **about}


def _request_examples(described: CataloguedApplication) -> dict[str, Any]:
    value = described.sample_input
    which = "the deploy's sample" if described.has_sample else "of this input type"
    return {
        "input": {"summary": f"One input, {which}", "value": {"input": value}},
        "input_batch": {"summary": f"Several inputs, {which}", "value": {"input_batch": [value]}},
    }


def _answer(described: CataloguedApplication) -> dict[str, Any]:
    content: dict[str, Any] = {
        "schema": {"oneOf": [_reference("schemas", "Prediction"), _reference("schemas", "Predictions")]}
    }
    if described.has_sample:
        prediction = {"query_id": 0, "output": described.sample_output, "default": False}
        content["example"] = {**prediction, "model": str(described.model_id)}
    return {"description": "The answer, or one answer for each input of a batch.", "content": {_JSON: content}}


def _reference(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}
