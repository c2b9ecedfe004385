"""How a model container reports why it cannot load its model: one line at the end of its log.

The log is the only thing that every container manager can read from a process that has ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from clipper_nb.protocol.exception_description import describe_exception
from clipper_nb.protocol.model_environment import Conflicts

SAMPLE_MISMATCH = "SampleMismatch"
"""``exception_type`` of a model whose answers to its samples are different from the notebook's."""
UNSTEADY_ANSWER = "UnsteadyAnswer"
"""``exception_type`` of a model whose answer to a sample depends on the other samples, or on chance."""

_NO_LIBRARY = re.compile(r"([\w.+-]+\.so[.\d]*): cannot open shared object file")
"""The dynamic linker's words for a missing library, in an ImportError or an OSError."""
_MARK = "clipper_nb.load_failure "


class UnreadableHere(Exception):
    """The model was pickled by versions that differ from those here.

    Attributes
    ----------
    conflicts : dict
        By name, the notebook's version and the one here.
    """

    def __init__(self, conflicts: Conflicts) -> None:
        told = ", ".join(f"{name} {there} in the notebook and {here} here" for name, (there, here) in conflicts.items())
        super().__init__(told)
        self.conflicts = conflicts


@dataclass(frozen=True)
class LoadFailure:
    """Why loading a model failed."""

    exception_type: str
    message: str
    traceback_text: str
    missing_module: str | None = None
    """The module that could not be imported, if that was the reason."""
    conflicts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By name, the versions in notebook and replica, if that was the reason."""

    @property
    def missing_library(self) -> str | None:
        """The missing library of the operating system, such as ``libgomp.so.1``, if that was the reason."""
        found = _NO_LIBRARY.search(self.message)
        return found[1] if found else None


def describe_load_failure(exc: BaseException) -> LoadFailure:
    """Return the record of an exception raised while a model was loaded."""
    told = describe_exception(exc)
    missing = None
    # issubclass() on its type: isinstance() also reads __class__, which a class may define in any way.
    if issubclass(type(exc), ImportError):
        name = ImportError.__dict__["name"].__get__(exc)
        missing = name if name and type(name) is str else told.message
    return LoadFailure(
        exception_type=told.type_name,
        message=told.message,
        traceback_text=told.traceback_text,
        missing_module=missing,
        conflicts=exc.conflicts if type(exc) is UnreadableHere else {},
    )


def format_load_failure(failure: LoadFailure) -> str:
    """Return the one line for the log."""
    return _MARK + json.dumps(asdict(failure))


def parse_load_failure(log: str) -> LoadFailure | None:
    """Return the last load failure in *log*, or ``None``."""
    for line in reversed(log.splitlines()):
        if line.startswith(_MARK):
            try:
                return LoadFailure(**json.loads(line[len(_MARK) :]))
            except (ValueError, TypeError):
                return None
    return None


def without_load_failure(log: str) -> str:
    """Return *log* without the lines of load failures, for people to read."""
    return "\n".join(line for line in log.splitlines() if not line.startswith(_MARK))
