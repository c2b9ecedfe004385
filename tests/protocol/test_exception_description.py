"""Whatever a model raises can be told."""

from __future__ import annotations

import asyncio

import pytest

from clipper_nb.protocol.exception_description import (
    LONGEST_MESSAGE,
    LONGEST_TRACEBACK,
    describe_exception,
)
from clipper_nb.protocol.load_report import describe_load_failure, format_load_failure, parse_load_failure


class NamelessType(type):
    @property
    def __name__(cls):
        raise ZeroDivisionError


class Nameless(Exception, metaclass=NamelessType):
    pass


class Unreadable(BaseException):
    def __init__(self, failure):
        self.failure = failure

    def __str__(self):
        raise self.failure

    __repr__ = __str__


class Masked(Exception):
    @property
    def __class__(self):
        raise RuntimeError("no class")


class WithoutTraceback(Exception):
    @property
    def __traceback__(self):
        raise RuntimeError("no traceback")

    @property
    def __cause__(self):
        raise RuntimeError("no cause")


class Text(str):
    def __len__(self):
        raise RuntimeError("no length")

    def encode(self, *args):
        raise RuntimeError("no bytes")


class TextOfAnotherType(Exception):
    def __str__(self):
        return Text("text")


class NumberAsText(Exception):
    def __str__(self):
        return 7


class NamelessImport(ImportError):
    name = property(lambda self: 1 // 0)


def raised(exc):
    try:
        raise exc
    except BaseException as caught:
        return caught


def nested(depth=0):
    return nested(depth + 1) + 1


def test_exception_is_described_with_its_traceback():
    told = describe_exception(raised(ValueError("weights are missing")))
    assert (told.type_name, told.message) == ("ValueError", "weights are missing")
    assert "in raised" in told.traceback_text
    assert told.traceback_text.rstrip().endswith("ValueError: weights are missing")


@pytest.mark.parametrize("type_", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_base_exceptions_are_described_like_exceptions(type_):
    told = describe_exception(raised(type_("why")))
    assert (told.type_name, told.message) == (type_.__name__, "why")


@pytest.mark.parametrize("failure", [ValueError(), SystemExit(2), KeyboardInterrupt(), RecursionError()])
def test_text_that_raises_is_left_out(failure):
    told = describe_exception(raised(Unreadable(failure)))
    assert told.message == f"(its text cannot be read: that raises {type(failure).__name__})"
    assert told.type_name == "Unreadable"
    assert "Unreadable" in told.traceback_text


BROKEN = {
    "no name": (lambda: Nameless("text"), "Nameless", "text"),
    "no class": (lambda: Masked("text"), "Masked", "text"),
    "no traceback": (lambda: WithoutTraceback("text"), "WithoutTraceback", "text"),
    "text of another type": (TextOfAnotherType, "TextOfAnotherType", "text"),
    "a number as text": (NumberAsText, "NumberAsText", "(its text cannot be read: that raises TypeError)"),
    "no name of a module": (lambda: NamelessImport("text"), "NamelessImport", "text"),
    "half a character": (lambda: ValueError("\ud800"), "ValueError", "\ud800"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_exception_class_hides_nothing(case):
    make, type_name, message = BROKEN[case]
    told = describe_exception(raised(make()))
    assert (told.type_name, told.message) == (type_name, message)
    assert type(told.message) is str
    assert type_name in told.traceback_text


@pytest.mark.parametrize("case", BROKEN)
def test_a_load_failure_of_any_class_reaches_the_log(case):
    failure = describe_load_failure(raised(BROKEN[case][0]()))
    assert parse_load_failure(format_load_failure(failure)) == failure


def test_a_long_text_keeps_both_ends():
    told = describe_exception(raised(ValueError("first" + "x" * 10_000_000 + "last")))
    assert told.message.startswith("first")
    assert told.message.endswith("last")
    assert "characters left out" in told.message
    assert len(told.message) < LONGEST_MESSAGE + 100
    assert len(told.traceback_text) < LONGEST_TRACEBACK + 100


def test_endless_recursion_is_described():
    with pytest.raises(RecursionError) as caught:
        nested()
    assert describe_exception(caught.value).type_name == "RecursionError"
