"""Tests of the hints about exceptions of code that runs in a replica."""

import os
import pickle
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


def test_exception_that_cannot_be_read_has_no_hint():
    class Unreadable(ValueError):
        def __str__(self):
            raise RuntimeError

    assert find_hint(Unreadable()) == ""
