"""Pickles a function of the notebook, or reports what of it cannot travel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipper_nb.closures.report import ClosureReport, format_places, format_size, pickle_with_report
from clipper_nb.cluster.surroundings import LARGE_BYTES
from clipper_nb.errors import InvalidRequestError, SerializationError


def pickle_with_setup(
    func: Callable[..., Any], setup: Callable[[], Any] | None, *, allow_large: bool = True
) -> tuple[bytes, bytes | None, ClosureReport]:
    """Return *func* and *setup*, each pickled, and the report of both; raises like :func:`pickle_function`."""
    pickled, report = pickle_function(func, allow_large=allow_large)
    if setup is None:
        return pickled, None, report
    if not callable(setup):
        raise InvalidRequestError(f"setup must be a function without arguments, not {type(setup).__name__}.")
    pickled_setup, report_of_setup = pickle_function(setup, allow_large=allow_large)
    return pickled, pickled_setup, report | report_of_setup


def pickle_function(func: Callable[..., Any], *, allow_large: bool = True) -> tuple[bytes, ClosureReport]:
    """Return *func* pickled with everything that another process lacks, and a report of it.

    Raises
    ------
    InvalidRequestError
        It is not callable, or it is larger than 100 MB and *allow_large* is false.
    SerializationError
        Something that it captured cannot be pickled; the message says what.
    """
    pickled, report = pickle_with_report(func)
    if report.cause:
        found = " ".join(
            f"Look at '{r.name}' ({r.type}), {format_places(r)}: {r.cause.rstrip('.')}." for r in report.refused
        )
        raise SerializationError(
            f"Function '{report.function}' cannot be pickled: it, or something that it uses from the notebook, cannot "
            f"leave this process. {found or report.cause}"
        )
    check_size(report, allow_large=allow_large)
    return pickled, report


def check_size(report: ClosureReport, *, allow_large: bool) -> None:
    """Raise ``InvalidRequestError`` for a function that is larger than 100 MB, unless *allow_large* is true."""
    if report.size_bytes <= LARGE_BYTES or allow_large:
        return
    sizes = {found.name: found.size_bytes for found in report.captured}
    sizes.update({name: report.files.size_bytes() for name in ["files of modules"] if report.files.places})
    largest = ", ".join(
        f"'{name}' ({format_size(sizes[name])})" for name in sorted(sizes, key=lambda name: -sizes[name])[:3]
    )
    raise InvalidRequestError(
        f"Function '{report.function}' takes along {format_size(report.size_bytes)}, more than "
        f"{format_size(LARGE_BYTES)}: {largest}. Pass allow_large=True if that is intended; else let it read what "
        "it needs from a file when it is first called."
    )
