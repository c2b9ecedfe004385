"""Why a model could not be loaded, told through the log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.load_report import (
    LoadFailure,
    describe_load_failure,
    format_load_failure,
    parse_load_failure,
    without_load_failure,
)
from tests.support.examples import examples


def raised(exc):
    try:
        raise exc
    except BaseException as caught:
        return caught


def test_exception_is_described_with_its_traceback():
    failure = describe_load_failure(raised(ValueError("weights are missing")))
    assert failure.exception_type == "ValueError"
    assert failure.message == "weights are missing"
    assert failure.missing_module is None
    assert "in raised" in failure.traceback_text
    assert failure.traceback_text.rstrip().endswith("ValueError: weights are missing")


@pytest.mark.parametrize(
    ("exc", "module"),
    [
        (ModuleNotFoundError("No module named 'sklearn'", name="sklearn"), "sklearn"),
        (ImportError("cannot import name 'x' from 'y'", name="y"), "y"),
        (ImportError("libgomp.so.1: cannot open"), "libgomp.so.1: cannot open"),
    ],
)
def test_missing_module_is_named(exc, module):
    assert describe_load_failure(raised(exc)).missing_module == module


@pytest.mark.parametrize(
    ("exc", "library"),
    [
        (OSError("libgomp.so.1: cannot open shared object file: No such file or directory"), "libgomp.so.1"),
        (ImportError("libstdc++.so.6: cannot open shared object file: No such", name="x"), "libstdc++.so.6"),
        (OSError("weights.so: No such file or directory"), None),
    ],
)
def test_missing_library_of_the_system_is_named(exc, library):
    assert describe_load_failure(raised(exc)).missing_library == library


def test_end_of_the_process_is_described_too():
    assert describe_load_failure(raised(SystemExit(3))).exception_type == "SystemExit"


failures = st.builds(
    LoadFailure,
    st.text(max_size=10),
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=20),
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=40),
    st.none() | st.text(max_size=5),
)


@examples(200)
@given(failures, st.lists(st.text(max_size=10), max_size=3))
def test_failure_is_found_again_at_the_end_of_any_log(failure, lines):
    line = format_load_failure(failure)
    assert "\n" not in line
    log = "\n".join([*lines, line, ""])
    assert parse_load_failure(log) == failure


@examples(200)
@given(st.text(max_size=60) | st.text(max_size=20).map(lambda text: f"clipper_nb.load_failure {text}"))
def test_any_log_can_be_read(log):
    found = parse_load_failure(log)
    assert found is None or isinstance(found, LoadFailure)


@pytest.mark.parametrize("rest", ["", "{", "[]", "3", "{}", '{"no_such_field": 1}'])
def test_damaged_line_reports_no_failure(rest):
    assert parse_load_failure(f"clipper_nb.load_failure {rest}") is None


def test_last_failure_counts():
    """A replica that is started again writes into the same log."""
    first, last = (LoadFailure("E", message, "", None) for message in ("first", "last"))
    log = "\n".join([format_load_failure(first), "started again", format_load_failure(last), "bye"])
    assert parse_load_failure(log) == last


def test_log_without_a_failure_reports_none():
    assert parse_load_failure("") is None
    assert parse_load_failure("digits-net:1 is loaded\n") is None


def test_person_reads_the_log_without_the_line():
    log = "\n".join(["Traceback", "ValueError: no", format_load_failure(LoadFailure("E", "no", ""))])
    assert without_load_failure(log) == "Traceback\nValueError: no"
