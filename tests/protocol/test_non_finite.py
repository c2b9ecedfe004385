"""NaN and infinities: texts for every JSON reader, floats for our client, and texts that are spelled alike stay."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from clipper_nb.protocol.non_finite import parse_json, quote_non_finite
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import format_prediction
from clipper_nb.protocol.predict_call import parse_predictions


@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_infinity_is_text_to_others_and_a_float_to_us(number: float) -> None:
    name = json.dumps(number)
    for value, read in ((number, name), ([1.0, number], [1.0, name]), ({"a": [number]}, {"a": [name]})):
        (output,) = encode_outputs([value], num_inputs=1)
        assert json.loads(output) == read
        assert parse_json(output) == value


@pytest.mark.parametrize("text", ["NaN", "Infinity", 'a"NaN', '"NaN"', "NaN\t", '\\"NaN', "a NaN Infinity"])
def test_text_that_is_spelled_alike_stays_text(text: str) -> None:
    value: Any = [text, {text: text}, math.inf]
    quoted = quote_non_finite(json.dumps(value))
    assert json.loads(quoted) == [text, {text: text}, "Infinity"]
    assert parse_json(quoted.encode()) == value


def test_reply_has_floats_again_only_where_floats_were() -> None:
    outputs = encode_outputs(["NaN", math.nan, ["NaN", math.nan]], num_inputs=3)
    replies = [format_prediction(number, output.decode(), None, None) for number, output in enumerate(outputs)]
    assert [json.loads(reply)["output"] for reply in replies] == ["NaN", "NaN", ["NaN", "NaN"]]
    text, alone, (inner_text, inner) = (parse_predictions(reply, latency_s=0.0)[0].output for reply in replies)
    assert (text, inner_text) == ("NaN", "NaN")
    assert math.isnan(alone)
    assert math.isnan(inner)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b'["NaN"\t'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(body)
