"""An R function as a model: R runs inside this process, in the thread that predicts.

rpy2 releases Python's lock while R computes, so heartbeats go on during long calls.
"""

from __future__ import annotations

import json
import logging
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipper_nb.errors import DeploymentError, PredictionError
from clipper_nb.protocol.columns import Column
from clipper_nb.protocol.load_report import UnreadableHere
from clipper_nb.runtime.model_container.r_data_frame import DataFrameMaker

logger = logging.getLogger(__name__)

SERIALIZED_FILE = "func.rds"
_RESTORE = """
function(serialized) {
  restored <- unserialize(serialized)
  list2env(restored$globals, globalenv())
  fn <- restored$fn
  function(inputs) tryCatch(
    list(fn(inputs)),
    error = function(e) c(conditionMessage(e), paste(deparse(conditionCall(e)), collapse = "\n"))
  )
}
"""
_NA_REAL_LOW_WORD = 1954
"""R's NA among the NaNs."""


class RError(Exception):
    """The R function stopped with an error; the text is R's own message."""


class RModel:
    """Calls an R function that was serialised by the deployer.

    Parameters
    ----------
    serialized : bytes
    columns : list of Column, optional
        The function takes one data frame with these instead of a list of inputs, which are JSON rows then.
    """

    def __init__(self, serialized: bytes, columns: Sequence[Column] = ()) -> None:
        import rpy2.rinterface as rinterface

        self._r = rinterface
        self._as_character = rinterface.baseenv["as.character"]
        self._call = rinterface.evalr(_RESTORE)(rinterface.ByteSexpVector(serialized))
        self._frames = DataFrameMaker(rinterface, columns) if columns else None

    def predict(self, inputs: list[Any]) -> Any:
        """Return what the function returns for an R list of the inputs: one output per element, or per row."""
        if self._frames is not None:
            argument = self._frames.make(inputs)
        else:
            argument = self._r.ListSexpVector([self._to_r(value) for value in inputs])
        returned = self._call(argument)
        if isinstance(returned, self._r.StrSexpVector):
            message, call = returned
            logger.warning("R error in %s: %s", call, message)
            raise RError(message)
        outputs = self._to_python(returned[0])
        has_rows = _dimensions(returned[0]) is not None
        return [_unbox(row) for row in outputs] if has_rows else outputs

    def _to_r(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._r.StrSexpVector([value])
        if value.dtype == np.int8:
            return self._r.ByteSexpVector(value.tobytes())
        if value.dtype == np.int32:
            return self._r.IntSexpVector.from_memoryview(value.data)
        return self._r.FloatSexpVector.from_memoryview(np.ascontiguousarray(value, dtype=np.float64).data)

    def _to_python(self, value: Any) -> Any:
        """Return a vector as a list, a matrix as a list of rows, a data frame as a list of dicts.

        Doubles stay what they are, to the last bit. NA becomes ``None``; dates, times and factors become text.
        """
        classes = set(value.rclass)
        if classes & {"factor", "Date", "POSIXt"}:
            value = self._as_character(value)
        if "data.frame" in classes:
            columns = [self._to_python(column) for column in value]
            return [dict(zip(value.names, row, strict=True)) for row in zip(*columns, strict=True)]
        elements = self._elements(value)
        dimensions = _dimensions(value)
        if dimensions is not None:
            return np.array(elements, dtype=object).reshape(dimensions, order="F").tolist()
        return elements

    def _elements(self, value: Any) -> Any:
        r = self._r
        if isinstance(value, r.FloatSexpVector):
            return [None if _is_na(number) else number for number in value]
        if isinstance(value, r.ByteSexpVector):
            return list(bytes(value))
        if isinstance(value, r.BoolSexpVector):
            return [None if element is r.NA_Logical else bool(element) for element in value]
        if isinstance(value, r.IntSexpVector):
            return [None if element is r.NA_Integer else int(element) for element in value]
        if isinstance(value, r.StrSexpVector):
            return [None if element is r.NA_Character else str(element) for element in value]
        if isinstance(value, r.ListSexpVector):
            return [self._output(element) for element in value]
        raise PredictionError(f"The R function returned a value of type {value.typeof.name}, which has no JSON.")

    def _output(self, value: Any) -> Any:
        """Return what an element of a list becomes: a vector of one element is that element."""
        if value.typeof == self._r.RTYPES.NILSXP:
            return None
        if not len(value.list_attrs()):  # most outputs; asking for their class would take longer than all else
            elements = self._elements(value)
            return elements if isinstance(value, self._r.ListSexpVector) else _unbox(elements)
        converted = self._to_python(value)
        if isinstance(value, self._r.ListSexpVector):
            has_names = (
                "names" in value.list_attrs() and _dimensions(value) is None and "data.frame" not in value.rclass
            )
            return dict(zip(value.names, converted, strict=True)) if has_names else converted
        return converted if _dimensions(value) is not None else _unbox(converted)


def load_r_model(folder: Path) -> RModel:
    """Return the R function in *folder*, with its packages loaded.

    Raises
    ------
    UnreadableHere
        This R has another minor version than the notebook's.
    DeploymentError
        There is no rpy2 or no R here.
    ImportError
        An R package is missing.
    """
    try:
        import rpy2.rinterface as rinterface

        rinterface.initr()
    except Exception as exc:  # without R rpy2 raises errors of many types
        raise DeploymentError(
            "R functions run through rpy2, which the replica's Python cannot use. Install R, and then pip install "
            f"'clipper-nb[r]'. {type(exc).__name__}: {str(exc).strip()}"
        ) from exc
    metadata = json.loads((folder / "metadata.json").read_text())
    rinterface.evalr("options(warn = 1)")  # a warning is logged when it happens
    here = rinterface.evalr('paste(R.version$major, R.version$minor, sep = ".")')[0]
    if here.split(".")[:2] != metadata["r_version"].split(".")[:2]:
        raise UnreadableHere({"R": (metadata["r_version"], here)})
    rinterface.evalr("function(paths) .libPaths(c(paths, .libPaths()))")(
        rinterface.StrSexpVector(metadata["r_library_paths"])
    )
    for package, version in metadata["r_packages"].items():
        _load_package(rinterface, package, version, is_attached=package in metadata["r_attached"])
    return RModel((folder / SERIALIZED_FILE).read_bytes(), [Column(**facts) for facts in metadata["r_columns"]])


def _load_package(rinterface: Any, name: str, version: str, *, is_attached: bool) -> None:
    load = rinterface.baseenv["library" if is_attached else "loadNamespace"]
    options = {"character.only": True} if is_attached else {}
    try:
        load(rinterface.StrSexpVector([name]), **options)
    except rinterface.embedded.RRuntimeError as exc:
        raise ImportError(f"The R package '{name}' cannot be loaded: {str(exc).strip()}", name=name) from exc
    here = rinterface.evalr("function(name) as.character(packageVersion(name))")(rinterface.StrSexpVector([name]))[0]
    if here != version:
        logger.warning("the R package %s is %s here and %s in the notebook", name, here, version)


def _dimensions(value: Any) -> tuple[int, ...] | None:
    """Return the shape of a matrix or data frame; ``None`` for what has one dimension."""
    if "data.frame" in value.rclass:
        return (-1, len(value))
    attributes = value.list_attrs()
    if "dim" not in attributes:
        return None
    shape = tuple(value.do_slot("dim"))
    return shape if len(shape) > 1 else None


def _unbox(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_na(number: float) -> bool:
    return math.isnan(number) and struct.unpack("<Q", struct.pack("<d", number))[0] & 0xFFFFFFFF == _NA_REAL_LOW_WORD
