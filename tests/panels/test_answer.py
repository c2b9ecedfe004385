"""How answers are shown."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.panels.answer import Asked, format_answer
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Prediction
from tests.panels.states import application

URL = "http://127.0.0.1:1337"
LONG = 4321


def _shown(output: Any, *, sent: Any = "x", version: str | None = None, **fields: Any) -> str:
    prediction = Prediction(
        output, fields.get("default", False), fields.get("reason"), fields.get("why"), 7, 0.004, "net:2"
    )
    texts = application("texts", input_type=InputType.STRINGS)
    return str(format_answer(Asked(texts, sent, version, URL, needs_token=True), prediction))


@pytest.mark.parametrize(
    ("output", "shown", "is_text"),
    [
        ("Zoë\nsaid “no” <b>", "Zoë\nsaid “no” &lt;b&gt;</pre>", True),
        ("4", ">4</pre>", True),
        (4, ">4</pre>", False),
        ({"name": "Zoë"}, "{&quot;name&quot;: &quot;Zoë&quot;}</pre>", False),
    ],
)
def test_text_is_shown_as_it_is_and_told_from_numbers(output: Any, shown: str, is_text: bool) -> None:
    html = _shown(output)
    assert shown in html
    assert ('<span class="cl-small">text</span>' in html) is is_text


def test_long_output_is_cut_and_says_so() -> None:
    html = _shown("é" * LONG)
    assert html.count("é") == 4000
    assert "the first 4,000 of 4,321 characters" in html


def test_default_output_has_its_reason_and_no_sign_of_success() -> None:
    html = _shown("-1", default=True, reason="model_too_slow", why="It took too long.")
    assert "▲</span> default output: model_too_slow" in html
    assert "It took too long." in html
    assert "cl-ok" not in html


def test_lines_to_copy_ask_the_same() -> None:
    html = _shown(1, sent="it's é", version="2")
    assert "it&#x27;&quot;&#x27;&quot;&#x27;s é" in html, "quoted for a shell"
    assert "/texts/predict" in html
    assert "$CLIPPER_QUERY_TOKEN" in html
    assert "conn.predict(&#x27;texts&#x27;, &quot;it&#x27;s é&quot;, version=&#x27;2&#x27;)" in html


def test_long_input_is_no_line_to_copy() -> None:
    assert _shown(1, sent="x" * LONG).count("too long to be shown") == 2
