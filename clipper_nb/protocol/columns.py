"""The columns of the data frame that an R function takes, read from a sample; each row is a JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ColumnType = Literal["integer", "double", "logical", "character", "factor", "Date", "POSIXct"]
COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)


@dataclass(frozen=True)
class Column:
    """One column's name and type.

    Attributes
    ----------
    name : str
    type : str
        R's name of the type.
    levels : tuple of str
        Levels of a factor, in order.
    is_ordered : bool
        Whether a factor is ordered.
    time_zone : str
        Time zone of a POSIXct, also used for times without one.
    """

    name: str
    type: ColumnType
    levels: tuple[str, ...] = ()
    is_ordered: bool = False
    time_zone: str = ""
