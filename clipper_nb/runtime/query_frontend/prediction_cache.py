"""Outputs by exact input and model version, and the computations under way that others may join."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

from xxhash import xxh3_128_digest

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.query import Computation

_ENTRY_OVERHEAD_BYTES: Final = 350
"""About what the objects and the dictionary cost beside key, input and output."""
_SEED: Final = secrets.randbits(64)
"""Nobody outside can make inputs whose digests are equal."""


class PredictionCache:
    """Least recently used first out, bounded in bytes with inputs and overhead counted.

    Inputs are found by their digest and compared whole: two with one digest are two. What comes second is not kept.

    Parameters
    ----------
    size_bytes : int
        0 turns it off: nothing is kept, nothing is joined.
    """

    def __init__(self, size_bytes: int) -> None:
        self._limit_bytes = size_bytes
        # Two objects of no interest to the garbage collector: it soon forgets a tuple that holds nothing else.
        self._entries: OrderedDict[bytes, tuple[bytes, str]] = OrderedDict()
        self._in_flight: dict[bytes, Computation] = {}
        self.is_on = size_bytes > 0
        """Whether anything is kept."""
        self.size_bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find_output(self, key: bytes, payload: bytes) -> str | None:
        """Return the output of that version for exactly that input, if it is kept."""
        entry = self._entries.get(key)
        if entry is None or entry[0] != payload:
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def find_in_flight(self, key: bytes, payload: bytes) -> Computation | None:
        """Return the computation of that version for exactly that input that is under way, if any."""
        computation = self._in_flight.get(key)
        return computation if computation is not None and computation.payload == payload else None

    def watch(self, key: bytes, computation: Computation) -> None:
        """Let others join *computation*, and keep its output."""
        if self.is_on:
            self._in_flight[key] = computation
            computation.cache_key, computation.on_output = key, self._finish

    def _finish(self, computation: Computation, output: str | None) -> None:
        key = computation.cache_key
        if self._in_flight.get(key) is computation:
            del self._in_flight[key]
        if output is not None and key not in self._entries:
            self._keep(key, computation.payload, output)

    def _keep(self, key: bytes, payload: bytes, output: str) -> None:
        size_bytes = _entry_size_bytes(key, payload, output)
        if size_bytes > self._limit_bytes:
            return
        while self.size_bytes + size_bytes > self._limit_bytes:
            oldest_key, oldest = self._entries.popitem(last=False)
            self.size_bytes -= _entry_size_bytes(oldest_key, *oldest)
            self.evictions += 1
        self._entries[key] = (payload, output)
        self.size_bytes += size_bytes


def cache_key(prefix: bytes, payload: bytes) -> bytes:
    """Return what stands for an input of the version with that prefix; hashing all of a long input costs more."""
    return prefix + xxh3_128_digest(payload, _SEED)


def key_prefix(model_id: ModelId, number: int) -> bytes:
    """Return what the keys of a version begin with, and those of no other.

    A version that is registered anew has another *number*, so that nothing of the one before is found. What that left
    is the least recently used, and makes room for others: to look for it among a hundred thousand takes 40 ms.
    """
    return f"{model_id}\0{number}\0".encode()


def _entry_size_bytes(key: bytes, payload: bytes, output: str) -> int:
    # Text counts four bytes a character: the most that Python needs for one.
    text_size_bytes = len(output) if output.isascii() else 4 * len(output)
    return len(key) + len(payload) + text_size_bytes + _ENTRY_OVERHEAD_BYTES
