"""What typed inputs mean."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.panels.typed_input import as_typed, read_typed
from clipper_nb.protocol.input_types import InputType

VARIABLES = {"row": [1.0, 2.0], "data": b"of a variable"}


@pytest.mark.parametrize(
    ("input_type", "text", "expected"),
    [
        (InputType.DOUBLES, "[1, 2.5]", [1, 2.5]),
        (InputType.DOUBLES, "row", [1.0, 2.0]),
        (InputType.DOUBLES, "[x * 2 for x in row]", [2.0, 4.0]),
        (InputType.STRINGS, "", ""),
        (InputType.STRINGS, "row", "row"),
        (InputType.JSON, '{"name": "Zoë"}', {"name": "Zoë"}),
        (InputType.BYTES, "AP8=", b"\x00\xff"),
        (InputType.BYTES, "iVBO\nRw0K Gg==", b"\x89PNG\r\n\x1a"),
        (InputType.BYTES, "data:image/png;base64,AP8=", b"\x00\xff"),
        (InputType.BYTES, "data:;base64,data", b"\x75\xab\x5a"),
        (InputType.BYTES, "data:;base64,", b""),
        (InputType.BYTES, "(data)", b"of a variable"),
        (InputType.BYTES, r"b'\x00\xff'", b"\x00\xff"),
    ],
)
def test_typed_text_is_read_by_its_type(input_type: InputType, text: str, expected: Any) -> None:
    assert read_typed(input_type, text, VARIABLES) == expected


@pytest.mark.parametrize(
    ("input_type", "text", "said"),
    [
        (InputType.DOUBLES, " ", "There is no input"),
        (InputType.DOUBLES, "[1,", "neither JSON nor a Python expression"),
        (InputType.DOUBLES, "unknown", "NameError"),
        (InputType.BYTES, "", "base64 text"),
        (InputType.BYTES, "no base64!", "neither base64 nor a Python expression"),
        (InputType.BYTES, "data:;base64,é", "is not base64"),
        (InputType.BYTES, "data", r"Type \(data\) for the variable, or data:;base64,data"),
        (InputType.BYTES, "misspelt", r"Type \(misspelt\) for the variable"),
    ],
)
def test_text_that_means_nothing_or_two_things_is_refused(input_type: InputType, text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        read_typed(input_type, text, VARIABLES)


@pytest.mark.parametrize(
    ("input_type", "sent", "meant"),
    [
        (InputType.INTEGERS, [1, 2], [1, 2]),
        (InputType.STRINGS, "a\nb", "a\nb"),
        (InputType.JSON, {"name": "Zoë"}, {"name": "Zoë"}),
        (InputType.BYTES, "AP8=", b"\x00\xff"),
        (InputType.BYTES, "data", b"\x75\xab\x5a"),
        (InputType.BYTES, "", b""),
    ],
)
def test_example_is_typed_as_it_is_read(input_type: InputType, sent: Any, meant: Any) -> None:
    assert read_typed(input_type, as_typed(input_type, sent), VARIABLES) == meant


def test_text_of_an_example_is_not_escaped() -> None:
    assert as_typed(InputType.JSON, {"name": "Zoë"}) == '{"name": "Zoë"}'
