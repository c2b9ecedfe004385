"""Arguments of clients and of their calls."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.client.calls import Call, make_steps
from clipper_nb.errors import InvalidRequestError


def test_call_has_its_version_as_text() -> None:
    assert Call.of("app", 2, 7, None) == Call("app", "2", "7", None)
    assert Call.of("app", None, None, 0.5) == Call("app", None, None, 0.5)


@pytest.mark.parametrize(
    ("name", "version", "timeout_s", "words"),
    [
        (5, None, None, "application name"),
        ("app", 1.1, None, "a float cannot distinguish 1.10 from 1.1"),
        ("app", None, 0, "timeout_s must be a number of seconds above 0; it is 0"),
        ("app", None, float("inf"), "timeout_s"),
        ("app", None, True, "timeout_s"),
    ],
)
def test_wrong_arguments_of_a_call_are_named(name: Any, version: Any, timeout_s: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        Call.of(name, version, None, timeout_s)


@pytest.mark.parametrize(
    ("limits", "words"),
    [((0, 1), "part_inputs"), ((16_385, 1), "part_inputs.*from 1 to 16384"), ((1, 0.5), "part_size_bytes")],
)
def test_wrong_limits_are_named(limits: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        make_steps(*limits)
