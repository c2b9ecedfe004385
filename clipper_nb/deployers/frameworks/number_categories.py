"""Models of boosted trees whose categories are numbers, which inputs of numbers would not mean. (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType

_SHOWN = 4


def refuse_number_categories(library: str, columns: Iterable[Sequence[Any]], input_type: InputType) -> None:
    """Raise an error if rows of numbers would get wrong answers, without any other sign.

    Such libraries take a number of an array for the position of a category, and of a data frame for the category: of
    the categories 10, 20 and 30 the array's 10 is none, and the frame's is the first. Categories 0, 1, 2 are their own
    positions, and for texts a row can only have positions.

    Parameters
    ----------
    library : str
    columns : iterable of sequence
        The categories of each column that has some, in order.
    input_type : InputType

    Raises
    ------
    InvalidRequestError
    """
    if not input_type.is_numeric:
        return
    for levels in columns:
        has_numbers = all(isinstance(level, (int, float)) for level in levels)
        if has_numbers and list(levels) != list(range(len(levels))):
            shown = ", ".join(map(repr, levels[:_SHOWN])) + (", …" if len(levels) > _SHOWN else "")
            raise InvalidRequestError(
                f"The model was fitted with a column whose categories are the numbers {shown}. In rows of type "
                f"'{input_type}' {library} takes a number for the position of a category: {levels[0]!r} would be "
                "another category or none, and the answers wrong. Deploy it with input_type='json' and "
                "sample_inputs=df, a few rows of the data frame that it was fitted with; or pass a function that "
                "makes a data frame of its inputs."
            )
