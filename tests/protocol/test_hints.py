"""Tests of the hints about exceptions of code that runs in a replica."""

import errno
import json
import os
import pickle
import socket
import sys

import numpy as np
import pytest

from clipper_nb.protocol.exception_description import describe_exception
from clipper_nb.protocol.hints import find_hint


def _load_missing_class():
    return pickle.loads(b"c__main__\nNoSuchClass\n.")


def _divide_input():
    x = np.array([1.0])
    x.flags.writeable = False
    x /= 2


def _assign_to_input():
    x = np.array([1.0])
    x.flags.writeable = False
    x[0] = 2


def _raise_from_missing_file():
    try:
        os.stat("words.txt")
    except OSError as exc:
        raise ValueError("no words") from exc


def _raise(exc):
    raise exc


@pytest.mark.parametrize(
    ("fails", "hint"),
    [
        (_load_missing_class, "use 'NoSuchClass' by its name"),
        (lambda: os.stat("data/words.txt"), "files=['data/words.txt']"),
        (_raise_from_missing_file, "files=['words.txt']"),
        (lambda: os.environ["CLIPPERS_NO_SUCH"], "environment_variables=['CLIPPERS_NO_SUCH']"),
        (_divide_input, "x.copy()"),
        (_assign_to_input, "x.copy()"),
        (lambda: _raise(ValueError("buffer source array is read-only")), "x.copy()"),
        (
            lambda: _raise(TypeError("No matching definition for argument type(s) readonly array(float64, 1d)")),
            "x.copy()",
        ),
        (lambda: _raise(OSError(30, "Read-only file system", "words.txt")), None),
        (lambda: os.stat("/no/such/file"), None),
        (lambda: {}["CLIPPERS_NO_SUCH"], None),
        (lambda: sys.no_such_attribute, None),
        (lambda: int("read"), None),
    ],
)
def test_hint_is_by_what_happened(fails, hint):
    try:
        fails()
    except Exception as exc:
        found, told = find_hint(exc), describe_exception(exc).message

    assert found == "" if hint is None else hint in found
    assert told.endswith(found)


@pytest.mark.parametrize(
    ("exc", "is_of_the_network"),
    [
        (OSError(errno.ENETUNREACH, "Network is unreachable"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), False),
        (ValueError("Network is unreachable"), False),
    ],
)
def test_missing_network_is_hinted_at_where_there_is_none(exc, is_of_the_network, monkeypatch):
    assert find_hint(exc) == ""
    monkeypatch.setenv("CLIPPER_NO_NETWORK", "1")
    assert ("network_access=True" in find_hint(exc)) == is_of_the_network


def test_exception_that_cannot_be_read_has_no_hint():
    class Unreadable(ValueError):
        def __str__(self):
            raise RuntimeError

    assert find_hint(Unreadable()) == ""


_CALL = """
def call(func, inputs):
    try:
        func(inputs)
    except Exception as exc:
        return find_hint(exc)
"""
"""A replica's frames are of clipper_nb, and the frame after them is the deployed function's."""


def _hint_of(func, inputs):
    names = {"__name__": "clipper_nb.runtime.anything", "find_hint": find_hint}
    exec(_CALL, names)
    return names["call"](func, inputs)


def _helper(record):
    return record["age"] + 1


@pytest.mark.parametrize(
    "func",
    [
        lambda text: text.upper(),
        lambda text: text.strip().upper(),
        lambda x: x["age"],
        lambda x: x + 1,
        lambda x: 1 - x,
        lambda x: -x,
        lambda x: float(x),
        lambda x: "a" + x,
        lambda x: json.loads(x),
        _helper,
        lambda x: _helper(x),
    ],
)
def test_function_of_one_record_is_told_that_it_gets_a_list(func):
    assert "[f(x) for x in inputs]" in _hint_of(func, ["{}"])


@pytest.mark.parametrize(
    "func",
    [
        lambda texts: [text.foo for text in texts],
        lambda texts: [text.split().upper() for text in texts],
        lambda texts: [1 + [text] for text in texts],
        lambda texts: [text[0] for text in texts] + 1,
        lambda texts: _helper([text[0] for text in texts]),
        lambda texts: None + 1,
        lambda: None,
    ],
)
def test_other_lists_of_the_function_are_no_reason_for_a_hint(func):
    assert _hint_of(func, ["{}"]) == ""
