"""What the panel sends, and whose answer it shows."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.panels.try_a_query import TryAQueryPanel
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Prediction
from tests.panels.standing import StandingConnection, click, make_panel, outcome, settle, show
from tests.panels.states import application, cluster, version

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
PEOPLE = version(model="people", example_input={"age": 22}, input_schema=SCHEMA)
STATE = cluster(
    application("images", input_type=InputType.BYTES, linked_model="look"),
    application("people", input_type=InputType.JSON, linked_model="people"),
    application("sums", linked_model="net"),
    application("texts", input_type=InputType.STRINGS, linked_model=None),
    PEOPLE, version("2", at=2.0), version("1", example_input=[0.5], is_current=False), version(model="look"),
)  # fmt: skip
Made = tuple[Any, StandingConnection]


@pytest.fixture
def made() -> Made:
    return make_panel(TryAQueryPanel, STATE)


def choose(panel: Any, name: str, version: str = "") -> None:
    panel._application.value = name
    settle(panel)
    panel._version.value = version
    settle(panel)


def send(panel: Any, text: str | None = None) -> None:
    if text is not None:
        panel._input.value = text
    panel._send()
    settle(panel)


def upload(panel: Any, content: bytes) -> None:
    file = {"name": "<a>.png", "type": "image/png", "size": len(content), "content": memoryview(content),
            "last_modified": "2026-11-29T12:00:00Z"}  # fmt: skip
    panel._file.set_state({"value": [{**file, "last_modified": 0}]})
    settle(panel)


def sent(conn: StandingConnection) -> list[Any]:
    return [call[2] for call in conn.calls if call[0] == "predict"]


def test_answer_is_shown_with_its_application(made: Made) -> None:
    panel, conn = made
    choose(panel, "sums")
    send(panel, "[1.0]")
    assert conn.calls == [("predict", "sums", [1.0], None)]
    assert "net:1" in panel.render()
    assert "✓" in outcome(panel)


def test_default_output_is_no_success(made: Made) -> None:
    panel, conn = made
    conn.answer = Prediction("-1", True, "model_too_slow", "It took too long.", 7, 0.02)
    choose(panel, "sums")
    send(panel, "[1.0]")
    assert "▲" in outcome(panel)
    assert "sums answered its default output in 20 ms: model_too_slow." in outcome(panel)
    assert "✓" not in outcome(panel)


def test_refused_input_leaves_no_earlier_answer(made: Made) -> None:
    panel, conn = made
    choose(panel, "sums")
    send(panel, "[1.0]")
    assert "curl" in panel.render()
    conn.answer = InvalidInputError("It is refused.")
    send(panel, "[2.0]")
    assert "It is refused." in outcome(panel)
    assert panel.render() == panel._picture.value == ""


def test_another_application_has_no_answer_yet(made: Made) -> None:
    panel, _ = made
    choose(panel, "sums")
    send(panel, "[1.0]")
    choose(panel, "texts")
    assert "No query sent yet" in panel._picture.value
    assert outcome(panel) == ""


def test_sample_is_filled_in_unless_something_is_typed(made: Made) -> None:
    panel, _ = made
    choose(panel, "people")
    assert panel._input.value == '{"age": 22}'
    choose(panel, "sums")
    assert panel._input.value == ""
    choose(panel, "sums", "1")
    assert panel._input.value == "[0.5]"
    panel._input.value = "[7.0]"
    choose(panel, "people")
    assert panel._input.value == "[7.0]"
    click(panel, panel._example_button)
    assert panel._input.value == '{"age": 22}'


def test_emptied_input_stays_empty(made: Made) -> None:
    panel, conn = made
    choose(panel, "people")
    panel._input.value = ""
    show(panel, STATE)
    assert panel._input.value == ""
    choose(panel, "texts")
    send(panel)
    assert sent(conn) == [""]


def test_schema_is_shown_where_there_is_one(made: Made) -> None:
    panel, _ = made
    choose(panel, "people")
    assert "<summary>Schema of the inputs of people:1</summary>" in panel._schema.value
    assert "&quot;integer&quot;" in panel._schema.value
    assert panel._input.placeholder == '{"age": a whole number}'
    choose(panel, "sums")
    assert panel._schema.value == ""


def test_file_is_sent_and_named(made: Made) -> None:
    panel, conn = made
    choose(panel, "images")
    assert panel._file.layout.display == "flex"
    panel._input.value = "AP8="
    upload(panel, b"\x00picture")
    assert panel._input.value == ""
    assert panel._file_name.value == "&lt;a&gt;.png, 8 bytes"
    send(panel)
    assert sent(conn) == [b"\x00picture"]


def test_what_was_given_last_is_sent(made: Made) -> None:
    panel, conn = made
    choose(panel, "images")
    upload(panel, b"picture")
    send(panel, "AP8=")  # before the thread that changes widgets has forgotten the file
    assert sent(conn) == [b"\x00\xff"]
    assert panel._file.value == ()
    assert panel._file_name.value == ""


def test_file_is_forgotten_with_its_application(made: Made) -> None:
    panel, _ = made
    choose(panel, "images")
    upload(panel, b"picture")
    choose(panel, "sums")
    assert panel._file.value == ()
    assert panel._file.layout.display == "none"


def test_row_of_another_panel_chooses_and_focuses(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    panel, _ = made
    sent_to_page: list[Any] = []
    monkeypatch.setattr(panel._input, "send", sent_to_page.append)
    panel.choose("people")
    settle(panel)
    assert panel._application.value == "people"
    assert sent_to_page == []
    show(panel, STATE)
    show(panel, STATE)
    assert sent_to_page == [{"do": "focus"}]
