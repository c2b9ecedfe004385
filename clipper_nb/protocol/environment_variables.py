"""Environment variables that travel with a version: values for its replicas, names for everybody else. (pure)"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.environment import DEFAULT_HANG_TIMEOUT_S, HANG_TIMEOUT_S, NONE, TEXT_OUTPUTS
from clipper_nb.protocol.names import is_unicode

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset({"PATH", "PYTHONHOME", "PYTHONPATH", "LD_PRELOAD"})
"""With another value of these a replica would not start, or run other code."""
_OF_THE_MACHINE = frozenset(
    {"CONDA_PREFIX", "HOME", "HOSTNAME", "JAVA_HOME", "LANG", "LD_LIBRARY_PATH", "LOGNAME", "OLDPWD", "PWD", "R_HOME",
     "R_LIBS", "R_LIBS_SITE", "R_LIBS_USER", "R_SESSION_TMPDIR", "SHELL", "SPARK_HOME", "TEMP", "TERM", "TMP", "TMPDIR",
     "USER", "VIRTUAL_ENV"}
)  # fmt: skip
"""These say where things are on the notebook's machine; they travel only when the caller names them."""
MAX_SIZE_BYTES = 32 * 1024
"""Of names and values together: the configuration, which holds them, is sent to every query frontend."""


@dataclass(frozen=True)
class EnvironmentVariables:
    """Variables with their values, which are in no ``repr``."""

    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return sorted(self.values)

    def __repr__(self) -> str:
        """Return the names alone."""
        return f"EnvironmentVariables({', '.join(self.names)})"


NO_VARIABLES = EnvironmentVariables()


def replica_variables(
    values: Mapping[str, str], *, text_outputs: str, hang_timeout_s: float | None
) -> Mapping[str, str]:
    """Return the variables of the processes that serve a version: its own, and what its options are told by."""
    told: dict[str, str] = {} if text_outputs == "json" else {TEXT_OUTPUTS: text_outputs}
    if hang_timeout_s != DEFAULT_HANG_TIMEOUT_S:
        told[HANG_TIMEOUT_S] = NONE if hang_timeout_s is None else f"{hang_timeout_s:g}"
    return {**values, **told}


def encode_variables(values: Mapping[str, str]) -> str:
    """Return the content of a file with variables."""
    return msgspec.json.encode(dict(values)).decode()


def decode_variables(content: str) -> dict[str, str]:
    """Return the variables of a file."""
    return msgspec.json.decode(content, type=dict[str, str])


def check_variables(values: Mapping[str, str]) -> EnvironmentVariables:
    """Return the variables; raises ``InvalidRequestError``, without any value in it, if a replica cannot have one."""
    for name, value in values.items():
        _check_name(name)
        if not isinstance(value, str) or "\0" in value or not is_unicode(value):
            raise InvalidRequestError(
                f"The value of environment variable {name} must be Unicode text without null "
                f"characters; it is a {type(value).__name__}."
            )
    size_bytes = sum(len(name) + len(value.encode()) for name, value in values.items())
    if size_bytes > MAX_SIZE_BYTES:
        raise InvalidRequestError(
            f"The environment variables {', '.join(sorted(values))} have {size_bytes} bytes together, more than "
            f"{MAX_SIZE_BYTES}. Let larger values travel as files=[...]."
        )
    return EnvironmentVariables(dict(sorted(values.items())))


def choose_variables(names: Iterable[str], notebook: Mapping[str, str]) -> Mapping[str, str]:
    """Return those of *names*, which code reads, that are set in the notebook and mean the same elsewhere."""
    chosen = {name for name in names if name in notebook and _NAME.fullmatch(name)}
    return {name: notebook[name] for name in chosen - _RESERVED - _OF_THE_MACHINE if not _is_ours(name)}


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequestError(f"environment_variables must have names of letters, digits and '_', not {name!r}.")
    if name in _RESERVED or _is_ours(name):
        raise InvalidRequestError(
            f"The environment variable {name} is reserved: replicas have a value of their own for PATH, PYTHONHOME, "
            "PYTHONPATH, LD_PRELOAD and every name that begins with CLIPPER_."
        )


def _is_ours(name: str) -> bool:
    return name.startswith("CLIPPER_")
