"""Calls a function that may be a coroutine function: what it returns is awaited, in replicas as in the notebook."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_SEQUENCES = (list, tuple)
_PLAIN = {float, int, str, list, dict}
"""Types of most outputs, of which it takes no time to know that nothing is to be awaited."""


class AwaitingFunction:
    """Calls *func*, and awaits what it returns, or each of a list of awaitables, all together; lists what it yields.

    All calls share one event loop, so that a client which one call creates can be used by the next. It runs in the
    calling thread, which has the settings of libraries; in a thread of its own where that one already runs a loop, as
    in a notebook. A function that returns no awaitable needs no event loop and has none.

    Parameters
    ----------
    func : callable
        Its last argument is the list of inputs.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        self._func = func
        self._loop: AbstractEventLoop | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns, awaited; one output's exception is raised after the others are done."""
        outputs = self._func(*arguments)
        if type(outputs) is not list:
            outputs = self._await(outputs) if _is_awaitable(type(outputs)) else outputs
            if hasattr(type(outputs), "__next__"):  # which may have no end
                outputs = list(islice(outputs, len(arguments[-1]) + 1))
        if type(outputs) in _SEQUENCES:
            types = set(map(type, outputs))
            if not types <= _PLAIN and any(map(_is_awaitable, types)):
                return self._await(_gather(outputs))
        return outputs

    def _await(self, awaitable: Awaitable[Any]) -> Any:
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            weakref.finalize(self, self._loop.close)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._loop.run_until_complete(_result_of(awaitable))
        return _await_beside(self._loop, awaitable)


def _is_awaitable(cls: type) -> bool:
    return hasattr(cls, "__await__")


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _gather(outputs: Sequence[Any]) -> Any:
    """Return the outputs, awaited together; none goes on when another has failed."""
    import asyncio

    awaited = [output if _is_awaitable(type(output)) else _value(output) for output in outputs]
    results = await asyncio.gather(*awaited, return_exceptions=True)
    for output, result in zip(outputs, results, strict=True):
        if isinstance(result, BaseException) and result is not output:
            raise result
    return type(outputs)(results)  # type: ignore[call-arg]


async def _value(output: Any) -> Any:
    return output


def _await_beside(loop: AbstractEventLoop, awaitable: Awaitable[Any]) -> Any:
    """Run the loop in another thread until the result is there; the calling thread's context variables hold there."""
    import asyncio

    thread = threading.Thread(target=loop.run_forever, name="coroutines", daemon=True)
    thread.start()
    try:
        return asyncio.run_coroutine_threadsafe(_result_of(awaitable), loop).result()
    finally:  # also when the notebook interrupts
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
