"""Outputs by exact input and model version, and the computations in progress that other queries may join."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

from xxhash import xxh3_128_digest

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.query import Computation

_ENTRY_OVERHEAD_BYTES: Final = 350
"""Approximate cost of the objects and the dictionary besides key, input and output."""
_SEED: Final = secrets.randbits(64)
"""A secret, so that clients cannot construct inputs with equal digests."""


class PredictionCache:
    """Evicts the least recently used output; bounded in bytes, including inputs and overhead.

    Inputs are found by their digest and compared in full. Of two inputs with the same digest the second is not kept.

    Parameters
    ----------
    size_bytes : int
        0 turns it off: no output is kept, and no computation is joined.
    """

    def __init__(self, size_bytes: int) -> None:
        self._limit_bytes = size_bytes
        # Two objects that the garbage collector does not track: it soon untracks a tuple that holds only such objects.
        self._entries: OrderedDict[bytes, tuple[bytes, str]] = OrderedDict()
        self._in_flight: dict[bytes, Computation] = {}
        self._on_output = self._finish  # the same object for all computations
        self.is_on = size_bytes > 0
        """True if outputs are kept."""
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
        """Return the computation in progress of that version for exactly that input, if any."""
        computation = self._in_flight.get(key)
        return computation if computation is not None and computation.payload == payload else None

    def watch(self, key: bytes, computation: Computation) -> None:
        """Let other queries join *computation*, and keep its output."""
        if self.is_on:
            self._in_flight[key] = computation
            computation.cache_key, computation.on_output = key, self._on_output

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
    """Return a short key for an input of the version with that prefix, which is cheaper than a long input as a key."""
    return prefix + xxh3_128_digest(payload, _SEED)


def key_prefix(model_id: ModelId, number: int) -> bytes:
    """Return the unique prefix of a version's keys.

    A re-registered version has another *number*, so its predecessor's entries are not found. They become the least
    recently used and are evicted: searching for them among a hundred thousand takes 40 ms.
    """
    return f"{model_id}\0{number}\0".encode()


def _entry_size_bytes(key: bytes, payload: bytes, output: str) -> int:
    # Non-ASCII text counts four bytes per character, the most that Python needs.
    text_size_bytes = len(output) if output.isascii() else 4 * len(output)
    return len(key) + len(payload) + text_size_bytes + _ENTRY_OVERHEAD_BYTES
