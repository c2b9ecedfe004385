"""Asks a model its samples together and one by one: an answer must depend on its own input alone. (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clipper_nb.protocol.samples import Comparison, find_difference

MAX_ALONE = 100
"""How many samples are asked one by one."""
_AMONG_OTHERS = Comparison(
    "together with the others it is", "and alone", relative_tolerance=1e-4, absolute_tolerance=1e-6
)
"""Matrix libraries add numbers of float32 in another order in a batch of another size."""
_AGAIN = Comparison("at first it is", "and asked again", relative_tolerance=1e-4, absolute_tolerance=1e-6)


class UnsteadyAnswer(Exception):
    """The answer to one input differs with its neighbours, is at another place than the input, or differs from call to
    call; the text says where."""


def steady_answers(ask: Callable[[Sequence[Any]], list[str]], inputs: Sequence[Any]) -> list[str]:
    """Return the answers to *inputs* in one batch, once each is the same alone.

    Parameters
    ----------
    ask : callable
        Returns the outputs for a batch, as JSON.
    inputs : sequence

    Raises
    ------
    UnsteadyAnswer
        An answer is different alone; asked again, it is different by chance, by its place, or by its neighbours.
    """
    together = ask(inputs)
    alone = _each_alone(ask, inputs)
    difference = find_difference(together[:MAX_ALONE], alone, _AMONG_OTHERS)
    if difference is None:
        return together
    refuse_chance(ask, inputs, together)
    by_chance = find_difference(alone, _each_alone(ask, inputs), _AGAIN)
    if by_chance is not None:
        raise _chance(by_chance)
    if sorted(together[:MAX_ALONE]) == sorted(alone):
        raise UnsteadyAnswer(
            f"is not at the place of its input, {difference}. Return the answers in the order of the inputs: sorting, "
            "grouping and joining change it, in Spark also a shuffle. Give each row its number, and sort by that last"
        )
    raise UnsteadyAnswer(
        f"depends on its neighbours in the batch, {difference}. Compute each answer from its own input: fix what is "
        "taken from several, such as categories, means and ranks, before the deploy"
    )


def refuse_chance(ask: Callable[[Sequence[Any]], list[str]], inputs: Sequence[Any], answered: Sequence[str]) -> None:
    """Raise :class:`UnsteadyAnswer` if the same batch has other answers now than it had before."""
    difference = find_difference(answered, ask(inputs), _AGAIN)
    if difference is not None:
        raise _chance(difference)


def _each_alone(ask: Callable[[Sequence[Any]], list[str]], inputs: Sequence[Any]) -> list[str]:
    return [ask(inputs[index : index + 1])[0] for index in range(min(len(inputs), MAX_ALONE))]


def _chance(difference: str) -> UnsteadyAnswer:
    return UnsteadyAnswer(
        f"depends on chance, {difference}. A function whose answers change from call to call has no samples: leave "
        "sample_inputs out (from R: compare_sample = FALSE), or fix its seed in each call"
    )
