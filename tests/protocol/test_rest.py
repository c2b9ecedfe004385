"""Bodies of the management frontend."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol import rest
from tests.support.examples import examples

REQUEST_TYPES = [
    rest.AddApplication,
    rest.ApplicationName,
    rest.ModelLinks,
    rest.LinkedModelsOf,
    rest.AddModel,
    rest.ModelVersionName,
    rest.ModelName,
    rest.ReplicaName,
    rest.Listing,
]

ADD_APPLICATION = {
    "name": "digits",
    "input_type": "doubles",
    "default_output": "-1.0",
    "latency_slo_micros": 100_000,
}


def parse(value, request_type):
    return rest.parse_request(json.dumps(value).encode(), request_type)


def test_application_request_has_clippers_fields():
    request = parse(ADD_APPLICATION, rest.AddApplication)
    assert request == rest.AddApplication("digits", "doubles", "-1.0", 100_000)


def test_model_request_fills_in_what_clipper_left_out():
    request = parse({"model_name": "m", "model_version": "1", "input_type": "doubles"}, rest.AddModel)
    assert request.labels == []
    assert request.container_name == "NO_CONTAINER"
    assert request.batch_size == -1


def test_two_requests_do_not_share_their_labels():
    first = parse({"model_name": "m", "model_version": "1", "input_type": "doubles"}, rest.AddModel)
    first.labels.append("x")
    assert parse({"model_name": "m", "model_version": "1", "input_type": "doubles"}, rest.AddModel).labels == []


def test_unknown_field_is_ignored():
    """Clipper's own client sends ``model_data_path``."""
    request = parse({"model_name": "m", "model_data_path": "DEPRECATED"}, rest.ModelName)
    assert request.model_name == "m"


@pytest.mark.parametrize(("body", "verbose"), [(b"", False), (b"{}", False), (b'{"verbose": true}', True)])
def test_listing_is_brief_unless_asked(body, verbose):
    assert rest.parse_request(body, rest.Listing).verbose is verbose


@pytest.mark.parametrize("field", sorted(ADD_APPLICATION))
def test_missing_field_is_named(field):
    body = {name: value for name, value in ADD_APPLICATION.items() if name != field}
    with pytest.raises(InvalidRequestError, match=f"missing required field `{field}`"):
        parse(body, rest.AddApplication)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 5),
        ("name", None),
        ("input_type", ["doubles"]),
        ("default_output", -1.0),
        ("latency_slo_micros", "100000"),
        ("latency_slo_micros", 100000.5),
        ("latency_slo_micros", True),
        ("latency_slo_micros", None),
    ],
)
def test_field_of_wrong_type_is_named(field, value):
    with pytest.raises(InvalidRequestError) as info:
        parse({**ADD_APPLICATION, field: value}, rest.AddApplication)
    assert f"`$.{field}`" in str(info.value)
    assert "Expected a JSON object with the fields 'name', 'input_type'" in str(info.value)


@pytest.mark.parametrize("request_type", REQUEST_TYPES)
@pytest.mark.parametrize("body", [b"x", b"[]", b"null", b"3", b'"{}"', b"{", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_body_that_is_not_an_object_is_refused(request_type, body):
    with pytest.raises(InvalidRequestError, match="Expected a JSON object with the fields"):
        rest.parse_request(body, request_type)


@examples(200)
@given(
    st.sampled_from(REQUEST_TYPES),
    st.dictionaries(
        st.sampled_from(
            ["name", "app_name", "model_name", "model_version", "model_names", "input_type", "replica_id", "verbose"]
        ),
        st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=2),
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=20),
)
def test_any_body_is_a_request_or_refused(request_type, body):
    try:
        request = rest.parse_request(body, request_type)
    except InvalidRequestError:
        return
    assert isinstance(request, request_type)


@pytest.mark.parametrize("body", [b"", b"x", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_reply_that_is_not_json_is_a_value_error(body):
    with pytest.raises(ValueError):  # noqa: PT011  (the parser's own sentence)
        rest.parse_body(body)


@examples(50)
@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner), max_leaves=6))
def test_formatted_body_is_parsed_to_the_same_value(value):
    assert rest.parse_body(rest.format_body(value)) == value


def test_error_body_has_error_and_cause():
    assert json.loads(rest.format_error("Bad request", 'said "é"')) == {"error": "Bad request", "cause": 'said "é"'}
