"""Coroutine functions are awaited, in one event loop, also where a loop already runs."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.spark_function import SparkFunction

LEVEL: contextvars.ContextVar[int] = contextvars.ContextVar("LEVEL", default=0)


async def double(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


async def predict(xs: list[int]) -> list[int]:
    return [await double(x) for x in xs]


class AsyncModel:
    async def __call__(self, xs: list[int]) -> list[int]:
        return await predict(xs)


class Later:
    def __init__(self, x: int) -> None:
        self._x = x

    def __await__(self) -> Any:
        return double(self._x).__await__()


async def as_awaitables(xs: list[int]) -> list[Any]:
    return [double(x) for x in xs]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "plain": lambda xs: [2 * x for x in xs],
    "coroutine": predict,
    "object": AsyncModel(),
    "method": AsyncModel().__call__,
    "partial": functools.partial(predict),
    "lambda": lambda xs: predict(xs),
    "awaitables": lambda xs: [double(x) for x in xs],
    "objects with __await__": lambda xs: [Later(x) for x in xs],
    "some awaitables": lambda xs: [2 * xs[0], *(double(x) for x in xs[1:])],
    "iterator of awaitables": lambda xs: map(double, xs),
    "generator": lambda xs: (2 * x for x in xs),
    "coroutine of awaitables": as_awaitables,
}


def call_within_a_loop(func: Callable[..., Any], *arguments: Any) -> Any:
    async def cell() -> Any:
        return func(*arguments)

    return asyncio.run(cell())


@pytest.mark.parametrize("call", [lambda func, *args: func(*args), call_within_a_loop], ids=["alone", "within a loop"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_outputs_are_awaited(name: str, call: Callable[..., Any]) -> None:
    assert call(AwaitingFunction(FUNCTIONS[name]), [1, 2, 3]) == [2, 4, 6]


def test_other_results_pass_as_they_are() -> None:
    for outputs in ([1, "a"], (1, 2), [], "text", None, {"a": 1}):
        assert AwaitingFunction(lambda _xs, outputs=outputs: outputs)([1]) is outputs


def test_awaitables_of_a_batch_wait_together() -> None:
    arrived: list[int] = []
    everyone = asyncio.Event()

    async def meet(x: int) -> int:
        arrived.append(x)
        if len(arrived) == 3:
            everyone.set()
        await asyncio.wait_for(everyone.wait(), 10)
        return x

    assert AwaitingFunction(lambda xs: [meet(x) for x in xs])([1, 2, 3]) == [1, 2, 3]


@pytest.mark.parametrize("call", [lambda func, *args: func(*args), call_within_a_loop], ids=["alone", "within a loop"])
def test_all_calls_share_one_event_loop(call: Callable[..., Any]) -> None:
    async def loop(xs: list[int]) -> list[Any]:
        return [asyncio.get_running_loop()]

    func = AwaitingFunction(loop)
    (first,), (second,) = call(func, [1]), func([1])
    assert first is second
    del func
    gc.collect()
    assert first.is_closed()


def test_coroutine_runs_in_the_calling_thread_if_it_can() -> None:
    async def thread(xs: list[int]) -> list[Any]:
        return [threading.current_thread()]

    assert AwaitingFunction(thread)([1]) == [threading.current_thread()]
    assert call_within_a_loop(AwaitingFunction(thread), [1]) != [threading.current_thread()]


def test_context_variables_hold_in_another_thread_too() -> None:
    async def level(xs: list[int]) -> list[int]:
        return [LEVEL.get()]

    def call() -> list[int]:
        LEVEL.set(3)
        return call_within_a_loop(AwaitingFunction(level), [1])

    assert contextvars.copy_context().run(call) == [3]


def test_first_exception_is_raised_when_all_are_done() -> None:
    done: list[int] = []

    async def work(x: int) -> int:
        if x < 3:
            raise ValueError(f"no {x}")
        await asyncio.sleep(0)
        done.append(x)
        return x

    func = AwaitingFunction(lambda xs: [work(x) for x in xs])
    with pytest.raises(ValueError, match="no 1"):
        func([1, 2, 3])
    assert done == [3]
    assert func([4]) == [4]


def test_coroutine_function_of_spark_is_awaited() -> None:
    class Vector:
        def toArray(self) -> list[float]:
            return [1.0, 2.0]

    async def classify(spark: str, model: str, inputs: list[str]) -> list[Any]:
        return [[spark, model, await double(len(text))] for text in inputs]

    async def vector(_text: str) -> Vector:
        return Vector()

    assert SparkFunction(AwaitingFunction(classify), "spark", "model")(["abc"]) == [["spark", "model", 6]]
    vectors = SparkFunction(AwaitingFunction(lambda _spark, _model, xs: map(vector, xs)), None, None)
    assert [found.toArray() for found in vectors(["a", "b"])] == [[1.0, 2.0], [1.0, 2.0]]


def test_generator_without_an_end_is_left() -> None:
    """One more than there are inputs: that is refused as too many outputs."""
    assert AwaitingFunction(lambda xs: itertools.count())([7, 8]) == [0, 1, 2]
    assert AwaitingFunction(lambda spark, model, xs: itertools.repeat(model))(None, "m", [1]) == ["m", "m"]
