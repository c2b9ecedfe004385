"""Long work on the event loop, in slices between which queries are answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import TypeVar

_StepT = TypeVar("_StepT")

_SLICE_S = 0.001
"""How long a query may have to wait, once; then queries have the loop for the same time."""


async def in_slices(steps: Iterable[_StepT]) -> list[_StepT]:
    """Return what *steps* yields; for each millisecond that they take, the event loop gets one for other work.

    Each step must be short. The data that steps read may change between two of them.
    """
    done: list[_StepT] = []
    began_s = time.perf_counter()
    for step in steps:
        done.append(step)
        if time.perf_counter() - began_s > _SLICE_S:
            await asyncio.sleep(_SLICE_S)
            began_s = time.perf_counter()
    return done
