"""The checker finds what cannot have happened, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable

from tests.end_to_end.linearizability.checker import find_misfit, find_order
from tests.end_to_end.linearizability.history import UNKNOWN, Call


def _register(state: Hashable, call: Call) -> tuple[Hashable, Hashable]:
    """A register that is written and read, and counted up."""
    if call.name == "read":
        return state, state
    if call.name == "add":
        assert isinstance(state, int)
        return state + 1, state + 1
    return "done", int(call.arguments[0])


def _write(value: int, started_s: float, ended_s: float, result: Hashable = "done") -> Call:
    return Call("writer", "write", (str(value),), result, started_s, ended_s)


def _read(value: int, started_s: float, ended_s: float) -> Call:
    return Call("reader", "read", (), value, started_s, ended_s)


def _add(result: Hashable, started_s: float, ended_s: float) -> Call:
    return Call("adder", "add", (), result, started_s, ended_s)


def test_calls_one_after_the_other_are_in_their_order() -> None:
    calls = [_write(1, 0, 1), _read(1, 2, 3), _write(2, 4, 5), _read(2, 6, 7)]
    assert find_order(calls, 0, _register) == calls


def test_an_old_value_after_a_confirmed_write_is_refused() -> None:
    assert find_order([_write(1, 0, 1), _read(0, 2, 3)], 0, _register) is None


def test_a_read_during_a_write_may_see_either() -> None:
    for value in (0, 1):
        assert find_order([_write(1, 0, 10), _read(value, 2, 3)], 0, _register) is not None


def test_two_reads_during_a_write_do_not_go_back() -> None:
    assert find_order([_write(1, 0, 10), _read(1, 2, 3), _read(0, 4, 5)], 0, _register) is None
    assert find_order([_write(1, 0, 10), _read(0, 2, 3), _read(1, 4, 5)], 0, _register) is not None


def test_an_unknown_write_may_happen_late_or_never() -> None:
    unknown = _write(1, 0, 1, UNKNOWN)
    for values in ((0, 0), (0, 1), (1, 1)):
        reads = [_read(values[0], 2, 3), _read(values[1], 4, 5)]
        assert find_order([unknown, *reads], 0, _register) is not None
    assert find_order([unknown, _read(1, 2, 3), _read(0, 4, 5)], 0, _register) is None


def test_an_unknown_write_does_not_happen_before_it_began() -> None:
    assert find_order([_read(1, 0, 1), _write(1, 2, 3, UNKNOWN)], 0, _register) is None


def test_a_call_that_was_repeated_and_done_twice_is_found() -> None:
    assert find_order([_add(2, 0, 5), _read(2, 6, 7)], 0, _register) is None
    assert find_order([_add(1, 0, 5), _add(2, 0, 5), _read(2, 6, 7)], 0, _register) is not None


def test_trace_of_a_change_reported_as_not_made_is_refused() -> None:
    """A call that raised "Nothing was changed" is not in the history; a trace of it has no explanation."""
    assert find_order([_read(0, 0, 1), _read(1, 2, 3)], 0, _register) is None


def test_first_call_that_does_not_fit_is_returned() -> None:
    stale = _read(0, 2, 3)
    assert find_misfit([_write(1, 0, 1), stale, _read(1, 4, 5), _read(7, 6, 7)], 0, _register) is stale
    assert find_misfit([_write(1, 0, 1), _read(1, 4, 5)], 0, _register) is None


def test_many_calls_at_once_are_searched_in_time() -> None:
    calls = [_add(number + 1, 0, 10) for number in range(40)]
    assert find_order(calls, 0, _register) is not None
    assert find_order([*calls, _read(39, 11, 12)], 0, _register) is None
