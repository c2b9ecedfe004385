"""Memory in which one replica of this machine reads large inputs, so that no socket copies them."""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
from collections.abc import Sequence
from typing import Final

from clipper_nb.protocol.rpc_fields import Frame
from clipper_nb.protocol.rpc_memory import MARK_SIZE_BYTES, MemoryOffer

LARGE_INPUT_SIZE_BYTES: Final = 4 * 1024
"""From this size of its first input on, a batch goes through memory: smaller ones cost a socket little."""

_PART_SIZE_BYTES: Final = 16 * 1024 * 1024
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class InputMemory:
    """Memory in as many parts as batches may be in flight.

    A replica answers its batches in order, so the part of a batch is free again when it has that many later ones. Only
    pages that were once written take memory. No process can make it shorter, which would end those that have it.

    Parameters
    ----------
    num_parts : int

    Raises
    ------
    OSError
        This system has no such memory.
    """

    def __init__(self, num_parts: int) -> None:
        self._size_bytes = MARK_SIZE_BYTES + num_parts * _PART_SIZE_BYTES
        self._fd = os.memfd_create("clipper-inputs", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._fd, self._size_bytes)
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS)
            self._memory = mmap.mmap(self._fd, self._size_bytes)
        except OSError:
            os.close(self._fd)
            raise
        self._mark = os.urandom(MARK_SIZE_BYTES)
        self._memory[:MARK_SIZE_BYTES] = self._mark
        self._starts = itertools.cycle(range(MARK_SIZE_BYTES, self._size_bytes, _PART_SIZE_BYTES))
        self.is_used = False
        """True when the replica has said that it reads it."""

    @property
    def offer(self) -> MemoryOffer:
        """What the replica is told."""
        return MemoryOffer(f"/proc/{os.getpid()}/fd/{self._fd}", self._size_bytes, self._mark)

    def put(self, payloads: Sequence[Frame]) -> int | None:
        """Write the inputs of the next batch one after the other; return where, or ``None`` if they are too large."""
        if sum(map(len, payloads)) > _PART_SIZE_BYTES:
            return None
        memory = self._memory
        start = at = next(self._starts)
        for payload in payloads:
            end = at + len(payload)
            memory[at:end] = payload
            at = end
        return start

    def close(self) -> None:
        """Give the memory back, once the replica has too."""
        self._memory.close()
        os.close(self._fd)
