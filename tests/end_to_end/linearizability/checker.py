"""Whether a history can be told in one order: each call at one instant between its beginning and its end. (pure)

The search is Wing and Gong's, and remembers where it was (Lowe): a set of calls that were told, and the state that
they led to, is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace

from tests.end_to_end.linearizability.history import UNKNOWN, Call

Apply = Callable[[Hashable, Call], tuple[Hashable, Hashable]]
"""From a state and a call to the call's right result and the next state."""


def find_order(calls: Sequence[Call], initial: Hashable, apply: Apply) -> list[Call] | None:
    """Return an order that explains what every client was told, or ``None`` when there is none.

    A call of unknown result may be in it, at any place after its beginning, or be left out.
    """
    calls = sorted(calls, key=lambda call: call.started_s)
    told_with_result = sum(1 << number for number, call in enumerate(calls) if not call.is_unknown)
    visited: set[tuple[int, Hashable]] = {(0, initial)}
    order: list[Call] = []
    paths = [_next_calls(calls, 0, initial, apply)]
    told, states = [0], [initial]
    while paths:
        if told[-1] & told_with_result == told_with_result:
            return order
        step = next((one for one in paths[-1] if (told[-1] | 1 << one[0], one[1]) not in visited), None)
        if step is None:
            paths.pop()
            told.pop()
            states.pop()
            if order:
                order.pop()
            continue
        number, state = step
        order.append(calls[number])
        told.append(told[-1] | 1 << number)
        states.append(state)
        visited.add((told[-1], state))
        paths.append(_next_calls(calls, told[-1], state, apply))
    return None


def find_misfit(calls: Sequence[Call], initial: Hashable, apply: Apply) -> Call | None:
    """Return the first call, by their ends, whose result does not fit those before it; ``None`` when all fit."""
    for last in sorted((call for call in calls if not call.is_unknown), key=lambda call: call.ended_s):
        seen = [
            call if call.ended_s <= last.ended_s else replace(call, result=UNKNOWN)
            for call in calls
            if call.started_s <= last.ended_s
        ]
        if find_order(seen, initial, apply) is None:
            return last
    return None


def _next_calls(calls: Sequence[Call], told: int, state: Hashable, apply: Apply) -> Iterator[tuple[int, Hashable]]:
    """Yield the calls that may come next, with the state after each."""
    left = [(number, call) for number, call in enumerate(calls) if not told >> number & 1]
    first_end_s = min((call.ended_s for _, call in left if not call.is_unknown), default=float("inf"))
    for number, call in left:
        if call.started_s > first_end_s:
            return
        result, after = apply(state, call)
        if call.is_unknown:
            if after != state:  # one that changes nothing is as good as left out
                yield number, after
        elif result == call.result:
            yield number, after
