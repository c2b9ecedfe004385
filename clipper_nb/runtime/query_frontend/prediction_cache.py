"""Outputs by exact input and model version, and the computations under way that others may join."""

from __future__ import annotations

from collections import OrderedDict

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.query import Computation

_ENTRY_OVERHEAD_BYTES = 250
"""About what the key, the strings and the dictionary cost beside input and output."""


class PredictionCache:
    """Least recently used first out, bounded in bytes with inputs and overhead counted.

    Parameters
    ----------
    size_bytes : int
        0 turns it off: nothing is kept, nothing is joined.
    """

    def __init__(self, size_bytes: int) -> None:
        self._limit_bytes = size_bytes
        self._outputs: OrderedDict[bytes, str] = OrderedDict()
        self._in_flight: dict[bytes, Computation] = {}
        self.is_on = size_bytes > 0
        """Whether anything is kept."""
        self.size_bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._outputs)

    def find_output(self, key: bytes) -> str | None:
        """Return the output of that version for exactly that input, if it is kept."""
        output = self._outputs.get(key)
        if output is not None:
            self._outputs.move_to_end(key)
        return output

    def find_in_flight(self, key: bytes) -> Computation | None:
        """Return the computation of that version for exactly that input that is under way, if any."""
        return self._in_flight.get(key)

    def watch(self, key: bytes, computation: Computation) -> None:
        """Let others join *computation*, and keep its output."""
        if self.is_on:
            self._in_flight[key] = computation
            computation.cache_key, computation.on_output = key, self._finish

    def forget_version(self, model_id: ModelId) -> None:
        """Drop everything of a version."""
        prefix = key_prefix(model_id)
        for key in [key for key in self._outputs if key.startswith(prefix)]:
            self._drop(key)
        for key in [key for key in self._in_flight if key.startswith(prefix)]:
            self._in_flight.pop(key).on_output = None

    def _finish(self, computation: Computation, output: str | None) -> None:
        key = computation.cache_key
        if self._in_flight.get(key) is computation:
            del self._in_flight[key]
        if output is not None and key not in self._outputs:
            self._keep(key, output)

    def _keep(self, key: bytes, output: str) -> None:
        size_bytes = _entry_size_bytes(key, output)
        if size_bytes > self._limit_bytes:
            return
        while self.size_bytes + size_bytes > self._limit_bytes:
            self.size_bytes -= _entry_size_bytes(*self._outputs.popitem(last=False))
            self.evictions += 1
        self._outputs[key] = output
        self.size_bytes += size_bytes

    def _drop(self, key: bytes) -> None:
        self.size_bytes -= _entry_size_bytes(key, self._outputs.pop(key))


def cache_key(model_id: ModelId, payload: bytes) -> bytes:
    """Return version and input as one key; neither name nor version can hold the byte between them.

    One object of bytes, unlike a tuple, is none of the garbage collector's business, which would look at every entry
    again and again.
    """
    return key_prefix(model_id) + payload


def key_prefix(model_id: ModelId) -> bytes:
    """Return what the keys of a version begin with."""
    return f"{model_id}\0".encode()


def _entry_size_bytes(key: bytes, output: str) -> int:
    # Text counts four bytes a character: the most that Python needs for one.
    return len(key) + (len(output) if output.isascii() else 4 * len(output)) + _ENTRY_OVERHEAD_BYTES
