"""What a model returned as a list with one output per input; anything else is refused, whatever its length. (pure)"""

from __future__ import annotations

from collections import UserString
from collections.abc import ItemsView, Iterable, KeysView, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.library_values import dense, is_column, is_frame, is_instance, unwrapped, unwrapped_by_method

_SIGNS_OF_FRAMES = ("__dataframe__", "__arrow_c_stream__", "iterrows", "to_pandas", "toPandas", "collect")
"""Attributes of tables of any library: iterating over one yields the names of its columns, or nothing."""
_GROUPS = (("polars.dataframe.group_by", "GroupBy"), ("pandas.api.typing", "SeriesGroupBy"))
"""What has a frame or column for each group, and so no rows of its own."""
_NUMBERED = (("pandas", "DataFrame"), ("pandas", "Series"))
"""What has an index, by which rows keep their numbers when they change places."""
_MAX_SHOWN = 5


def as_batch(returned: Any, num_inputs: int) -> Sequence[Any]:
    """Return the outputs in order: the rows of a frame, matrix or array, or the elements of anything with an order.

    Of a generator or another iterator no more is taken than shows that there are too many: it may have no end.

    Raises
    ------
    PredictionError
        It has no order, is a tuple of sequences or one value, or a frame has another number of rows, or rows have
        changed places.
    """
    if any(is_instance(returned, *kind) for kind in _NUMBERED):
        _refuse_other_order(returned, num_inputs)
    if is_frame(returned):
        return _rows(returned, num_inputs)
    advice = _advice(returned)
    if advice is not None:
        raise _no_batch(returned, advice)
    if is_column(returned):
        return _elements(returned)
    return returned if isinstance(returned, Sequence) else list(islice(returned, num_inputs + 1))


def _refuse_other_order(returned: Any, num_inputs: int) -> None:
    """Raise if the index has the numbers of the inputs in another order: each answer would be that of another query.

    A frame of the inputs numbers its rows, and sorting or grouping leaves each its number. An index with a name is a
    column that the function chose. Rows are not put back: the numbers might still be something else by chance.
    """
    index = returned.index
    if index.name is not None or getattr(index.dtype, "kind", "O") not in "iu" or len(index) != num_inputs:
        return
    numbers, in_order = index.tolist(), range(num_inputs)
    if set(numbers) != set(in_order) or numbers == list(in_order):
        return
    shown = ", ".join(map(str, numbers[:_MAX_SHOWN])) + (", …" if num_inputs > _MAX_SHOWN else "")
    raise PredictionError(
        f"The model returned a {type(returned).__name__} whose index has the numbers of the inputs in another order "
        f"({shown}), as after sort_values() or concat(); an answer goes to the input at its position. Return "
        "x.sort_index(), or x.reset_index(drop=True) if x is in the order of the inputs and the index means something "
        "else."
    )


def wrong_number(num_outputs: int, num_inputs: int) -> PredictionError:
    """Return the error for a batch that has not one output per input."""
    return PredictionError(
        f"The model returned {num_outputs} outputs for {num_inputs} inputs; it must return one per input, in order."
    )


def _elements(column: Any) -> Sequence[Any]:
    array = dense(column)
    for convert in (unwrapped, unwrapped_by_method, unwrapped):  # the method may return an array of NumPy
        array = convert(array)
        if isinstance(array, list):
            return array
    raise _no_batch(column, "a list or an array")


def _rows(frame: Any, num_inputs: int) -> Sequence[Any]:
    name = type(frame).__name__
    try:
        rows: list[Any] = unwrapped(frame)
    except TypeError as exc:
        raise PredictionError(f"The model returned a {name} that cannot be read: {exc}.") from exc
    if len(rows) != num_inputs:
        raise PredictionError(
            f"The model returned a {name} of {len(rows)} rows for {num_inputs} inputs; it must return one row per "
            "input, in order."
        )
    return rows


def _advice(returned: Any) -> str | None:
    """Return what to return in place of a value that is no batch; ``None`` for one that may be a batch."""
    if isinstance(returned, (str, bytes, bytearray, memoryview, UserString)):
        return "[text for x in inputs]"
    if any(is_instance(returned, *kind) for kind in _GROUPS):
        return "a value for each row: group_by(...).agg(...) has one for each group"
    if isinstance(returned, Mapping) or is_instance(returned, "pydantic", "BaseModel"):
        return "[{...} for x in inputs]"
    if isinstance(returned, Set) and not isinstance(returned, (KeysView, ItemsView)):
        return "sorted(x)"
    if isinstance(returned, tuple) and (hasattr(returned, "_fields") or hasattr(returned, "__fields__")):
        return "[x]"
    if isinstance(returned, tuple) and any(map(_is_many, returned)):
        return "list(x)" if len(returned) == 1 else f"list(zip({', '.join('abcdefgh'[: len(returned)])}))"
    if getattr(returned, "ndim", 1) == 0:
        return "[x]"
    if is_column(returned):
        return None
    if any(hasattr(type(returned), sign) for sign in _SIGNS_OF_FRAMES):
        return "its rows: df.collect() or df.to_pandas()"
    return None if isinstance(returned, Iterable) and not isinstance(returned, type) else "[f(x) for x in inputs]"


def _is_many(value: Any) -> bool:
    """Return whether an element of a tuple has elements of its own, so that the tuple is not a list of outputs."""
    if isinstance(value, (str, bytes, UserString, Mapping)) or is_instance(value, "pydantic", "BaseModel"):
        return False
    return getattr(value, "ndim", 1) != 0 and (isinstance(value, Iterable) or is_column(value) or is_frame(value))


def _no_batch(returned: Any, advice: str) -> PredictionError:
    name = type(returned).__name__
    if type(returned) is tuple:
        name += f" of {', '.join(type(value).__name__ for value in returned)}"
    return PredictionError(
        f"The model returned {name}; it must return a list with one output per input, such as {advice}."
    )
