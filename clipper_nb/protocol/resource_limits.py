"""Limits on what one replica may use of its machine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clipper_nb.errors import InvalidRequestError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\Z", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SMALLEST_MEMORY_BYTES = 6 * 1024**2  # Docker's minimum

JAVA_HEAP_SHARE = 0.6
"""Share of a Spark replica's memory for the JVM's heap; the rest is for Python, the JVM itself and Arrow's buffers."""


@dataclass(frozen=True)
class ResourceLimits:
    """Limits of each replica of a version; ``None`` leaves the container manager's default.

    Attributes
    ----------
    memory : int or str, optional
        Bytes, or text such as ``"512m"`` or ``"2g"`` (powers of 1024); kept as bytes. A replica that uses more is
        killed and restarted.
    cpus : float, optional
        How many cores it may keep busy, for example 0.5.
    processes : int, optional
        How many processes and threads it may have.

    Raises
    ------
    InvalidRequestError
        A number is invalid.

    Examples
    --------
    >>> ResourceLimits(memory="512m", cpus=1.5).memory
    536870912
    """

    memory: int | str | None = None
    cpus: float | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", _parse_memory(self.memory))
        if self.cpus is not None and (isinstance(self.cpus, bool) or not self.cpus >= 0.01):
            raise InvalidRequestError(f"cpus is {self.cpus!r}; it must be a number of cores, at least 0.01.")
        if self.processes is not None and (isinstance(self.processes, bool) or not self.processes >= 1):
            raise InvalidRequestError(f"processes is {self.processes!r}; it must be a whole number, at least 1.")

    @property
    def memory_bytes(self) -> int | None:
        """The memory in bytes."""
        assert not isinstance(self.memory, str)  # parsed when it was made
        return self.memory


def _parse_memory(memory: int | str | None) -> int | None:
    size_bytes = memory
    if isinstance(memory, str):
        match = _SIZE.match(memory.strip())
        size_bytes = int(float(match[1]) * _FACTORS[match[2].lower()]) if match else -1
    if size_bytes is None:
        return None
    if isinstance(size_bytes, (bool, str)) or size_bytes < _SMALLEST_MEMORY_BYTES:
        raise InvalidRequestError(
            f"memory is {memory!r}; it must be bytes or text such as '512m' or '2g', at least 6 MiB."
        )
    return size_bytes


NO_LIMITS = ResourceLimits()
