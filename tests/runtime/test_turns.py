"""Work that takes long has a little of each turn, whoever it is for."""

from __future__ import annotations

from clipper_nb.runtime.turns import SLICE_S, Turns
from tests.support.fake_clock import FakeClock


class Steps:
    """Work of so many steps, each of which takes a while; notes whose step it was."""

    def __init__(self, name: str, num_steps: int, clock: FakeClock, done: list[str], step_s: float = 0.0005) -> None:
        self._name = name
        self._num_steps = num_steps
        self._clock = clock
        self._done = done
        self._step_s = step_s

    def step(self) -> bool:
        self._clock.advance(self._step_s)
        self._done.append(self._name)
        self._num_steps -= 1
        return self._num_steps > 0


class TurnByTurn:
    """Keeps what is to run in the next turn."""

    def __init__(self) -> None:
        self.next = []
        self.clock = FakeClock()
        self.turns = Turns(self.next.append, self.clock)
        self.done = []

    def add(self, name: str, num_steps: int, **options: float) -> None:
        self.turns.add(Steps(name, num_steps, self.clock, self.done, **options))

    def run_turn(self) -> float:
        """Run one turn; return how long it took."""
        began_s = self.clock()
        due, self.next[:] = list(self.next), []
        for callback in due:
            callback()
        return self.clock() - began_s


def test_no_turn_takes_longer_than_a_slice_and_a_step():
    loop = TurnByTurn()
    loop.add("a", 100)
    loop.add("b", 100)
    lengths_s = []
    while loop.next:
        lengths_s.append(loop.run_turn())
    assert len(loop.done) == 200
    assert max(lengths_s) <= SLICE_S + 0.0005
    assert len(lengths_s) >= 200 * 0.0005 / (SLICE_S + 0.0005)


def test_short_work_is_done_beside_long_work():
    loop = TurnByTurn()
    loop.add("long", 1000)
    loop.run_turn()
    loop.add("short", 2)
    loop.run_turn()
    loop.run_turn()
    assert loop.done.count("short") == 2


def test_loop_is_idle_without_work():
    loop = TurnByTurn()
    loop.add("a", 1)
    loop.run_turn()
    assert loop.next == []
    loop.add("a", 1)
    assert len(loop.next) == 1
    loop.add("b", 1)
    assert len(loop.next) == 1
    loop.run_turn()
    assert loop.done == ["a", "a", "b"]
