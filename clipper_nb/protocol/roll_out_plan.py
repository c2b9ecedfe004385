"""The one door for what a roll-out should do: checks it, for the notebook and for the management frontend. (pure)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, cast

from msgspec import Struct

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.roll_out import (
    DEFAULT_MIN_QUERIES,
    DEFAULT_PATIENCE_S,
    DEFAULT_STEP_S,
    DEFAULT_STEPS,
    MEASURES,
    Measure,
    RollOutPlan,
)
from clipper_nb.protocol.shadow import check_pinned

MAX_STEPS = 100
MAX_SPAN_S = 30 * 86_400.0
LARGEST_MIN_QUERIES = 10_000


class StartRollOut(Struct):
    """``/admin/start_roll_out``"""

    app_name: str
    model: str
    steps: Any = DEFAULT_STEPS
    step_s: Any = DEFAULT_STEP_S
    watch: Any = MEASURES
    max_latency_micros: Any = None
    min_queries: Any = DEFAULT_MIN_QUERIES
    patience_s: Any = DEFAULT_PATIENCE_S


def check_plan(request: StartRollOut) -> RollOutPlan:
    """Return what a request asks for.

    Raises
    ------
    InvalidRequestError
        An argument is something else than it should be; the error names it.
    """
    model_id = check_pinned("roll_out()", request.model)
    max_latency = request.max_latency_micros
    if max_latency is not None and not _is_whole(max_latency, 1, 2**31 - 1):
        raise InvalidRequestError(
            f"max_latency_micros must be a whole number from 1 to {2**31 - 1}, or None for the SLO; it is "
            f"{max_latency!r}. 100 ms is 100000."
        )
    if not _is_whole(request.min_queries, 1, LARGEST_MIN_QUERIES):
        raise InvalidRequestError(
            f"min_queries must be a whole number from 1 to {LARGEST_MIN_QUERIES}; it is {request.min_queries!r}."
        )
    return RollOutPlan(
        app_name=request.app_name,
        model_name=model_id.name,
        version=model_id.version,
        steps=_check_steps(request.steps),
        step_s=_check_span("step_s", request.step_s),
        watch=_check_watch(request.watch),
        max_latency_s=0.0 if max_latency is None else max_latency / 1e6,
        min_queries=int(request.min_queries),
        patience_s=_check_span("patience_s", request.patience_s),
    )


def request_of(plan: RollOutPlan, max_latency_micros: int | None) -> StartRollOut:
    """Return the request for a checked plan, in plain numbers."""
    return StartRollOut(
        plan.app_name,
        str(plan.model_id),
        list(plan.steps),
        plan.step_s,
        list(plan.watch),
        None if max_latency_micros is None else int(max_latency_micros),
        plan.min_queries,
        plan.patience_s,
    )


def describe_plan(plan: RollOutPlan, visible_shares: Sequence[float]) -> str:
    """Return what a roll-out will do and what it can see, as sentences; *visible_shares* are by step."""
    steps = " → ".join(f"{step:g} %" for step in plan.steps)
    seen = ", ".join(
        f"{share:.2g} %" if share <= 100 else "nothing" for share in (100 * visible for visible in visible_shares)
    )
    return (
        f"{plan.model_id} for '{plan.app_name}': {steps}. It takes at least {plan.at_least_s:g} s, and longer where "
        f"{plan.min_queries} answers of {plan.model_id} take longer than {plan.step_s:g} s; it is watched by "
        f"{', '.join(plan.watch)} until it has all queries. Of {plan.min_queries} answers these shares of bad ones are "
        f"enough to roll it back, if the others have none, step by step: {seen or 'nothing, as it begins with 100 %'}. "
        "More answers show smaller differences."
    )


def _check_steps(steps: object) -> tuple[float, ...]:
    meaning = "steps must be per cents that rise to 100, for example (1, 10, 50, 100)"
    if not isinstance(steps, Sequence) or isinstance(steps, (str, bytes)) or not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidRequestError(f"{meaning}, at most {MAX_STEPS}; they are {steps!r}.")
    if not all(_is_number(step) and 0 < step <= 100 for step in steps):
        raise InvalidRequestError(f"{meaning}, each above 0; they are {steps!r}.")
    numbers = tuple(float(step) for step in steps)
    if numbers[-1] != 100 or any(later <= earlier for earlier, later in pairwise(numbers)):
        raise InvalidRequestError(f"{meaning}; they are {steps!r}.")
    return numbers


def _check_span(name: str, span_s: object) -> float:
    if _is_number(span_s) and 0 < span_s <= MAX_SPAN_S:  # type: ignore[operator]
        return float(span_s)  # type: ignore[arg-type]
    raise InvalidRequestError(
        f"{name} must be a number of seconds above 0, up to {MAX_SPAN_S:g} (30 days); it is {span_s!r}."
    )


def _check_watch(watch: object) -> tuple[Measure, ...]:
    is_list = isinstance(watch, Sequence) and not isinstance(watch, (str, bytes))
    if is_list and watch and all(each in MEASURES for each in watch) and len(set(watch)) == len(watch):  # type: ignore
        return cast("tuple[Measure, ...]", tuple(watch))  # type: ignore[arg-type]
    raise InvalidRequestError(
        f"watch must be a list of some of {', '.join(map(repr, MEASURES))}, each once; it is {watch!r}."
    )


def _is_number(value: object) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and -math.inf < value < math.inf  # type: ignore[operator]


def _is_whole(value: object, smallest: int, largest: int) -> bool:
    is_whole = not isinstance(value, bool) and isinstance(value, Integral)
    return is_whole and smallest <= value <= largest  # type: ignore[operator]
