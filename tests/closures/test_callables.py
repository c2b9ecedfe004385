"""What cannot be called with a list of inputs is refused at the deploy, with what to pass instead."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from clipper_nb.closures.callables import SPARK_INPUTS, check_function
from clipper_nb.errors import InvalidRequestError


class Model:
    def __call__(self, xs: Any) -> Any:
        return xs

    def predict(self, xs: Any, threshold: float = 0.5) -> Any:
        return xs

    def of_two(self, xs: Any, ys: Any) -> Any:
        return xs

    @staticmethod
    def static(xs: Any) -> Any:
        return xs

    @classmethod
    def of_class(cls, xs: Any) -> Any:
        return xs


class AsyncModel:
    async def __call__(self, xs: Any) -> Any:
        return xs


class Streaming:
    async def __call__(self, xs: Any) -> AsyncIterator[Any]:
        for x in xs:
            yield x


class NoModel:
    def __call__(self) -> None:
        pass


def of_none() -> list[Any]:
    return []


def of_two(model: Any, xs: Any) -> Any:
    return xs


def named(xs: Any, *, model: Any) -> Any:
    return xs


def generator(xs: Any) -> Iterator[Any]:
    yield from xs


async def coroutine(xs: Any) -> Any:
    return xs


async def async_generator(xs: Any) -> AsyncIterator[Any]:
    for x in xs:
        yield x


@functools.cache
def cached(xs: Any) -> Any:
    return xs


def with_model(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(xs: Any) -> Any:
        return func(None, xs)

    return wrapper


def collected(func: Any) -> Any:
    @functools.wraps(func)
    async def wrapper(xs: Any) -> Any:
        return [x async for x in func(xs)]

    return wrapper


class Unsure:
    __signature__ = "what?"

    def __call__(self, *args: Any) -> Any:
        return args


ACCEPTED = {
    "lambda": lambda xs: xs,
    "lambda of anything": lambda *xs: xs,
    "default values": lambda xs, threshold=0.5, *rest, top=1, **more: xs,
    "generator": generator,
    "coroutine": coroutine,
    "object": Model(),
    "object with an async call": AsyncModel(),
    "bound method": Model().predict,
    "static method": Model.static,
    "class method": Model.of_class,
    "partial": functools.partial(of_two, None),
    "partial of a keyword": functools.partial(named, model=1),
    "partial of a coroutine": functools.partial(coroutine),
    "decorated": with_model(of_two),
    "collected": collected(async_generator),
    "builtin": len,
    "builtin that does not say": max,
    "ufunc": np.negative,
    "np.vectorize": np.vectorize(lambda x: x),
    "estimator": LinearRegression().predict,
    "pipeline": make_pipeline(LinearRegression()).predict,
    "strange signature": Unsure(),
}

REFUSED = {
    "class": (Model, r"not the class 'Model'. Pass a method of an object, such as Model\(\.\.\.\)\.predict"),
    "builtin class": (list, "not the class 'list'"),
    "list": ([1, 2], "func must be a function that takes a list of inputs, called as func\\(inputs\\), not list"),
    "no arguments": (of_none, "'of_none' takes no arguments; it is called as func\\(inputs\\). Give it a parameter"),
    "object of no arguments": (NoModel(), "'NoModel' takes no arguments"),
    "two": (of_two, r"'of_two' takes \(model, xs\); .* functools.partial or default values"),
    "two of a lambda": (lambda a, b, c=1: a, r"'<lambda>' takes \(a, b, c=\.\.\.\)"),
    "two of a method": (Model().of_two, r"'of_two' takes \(xs, ys\)"),
    "method of no object": (Model.predict, r"\(self, xs, threshold=\.\.\.\).* Pass .* Model\(\.\.\.\)\.predict"),
    "keyword": (named, r"'named' takes \(xs, \*, model\);"),
    "partial, wrong name": (functools.partial(of_two, model="secret"), r"'of_two' takes \(\*, model=\.\.\., xs\);"),
    "ufunc": (np.add, "'add' takes 2 arrays"),
    "async generator": (async_generator, "'async_generator' is an async generator. Return a list"),
    "async generator of an object": (Streaming(), "'Streaming' is an async generator"),
    "partial of an async generator": (functools.partial(async_generator), "is an async generator"),
    "cached": (cached, "'cached' has a cache, and a list of inputs cannot be the key"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_callable_of_one_list_is_accepted(name: str) -> None:
    check_function(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_take_one_list_is_refused(name: str) -> None:
    func, why = REFUSED[name]
    with pytest.raises(InvalidRequestError, match=why) as caught:
        check_function(func)
    assert "secret" not in str(caught.value)


def test_spark_function_takes_session_model_and_inputs() -> None:
    check_function(lambda spark, model, inputs: inputs, SPARK_INPUTS)
    check_function(lambda *all: all, SPARK_INPUTS)
    with pytest.raises(InvalidRequestError, match=r"takes \(inputs\); it is called as func\(spark, model, inputs\)"):
        check_function(lambda inputs: inputs, SPARK_INPUTS)
