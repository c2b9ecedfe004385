"""The replica's side of memory that a query frontend of the same machine writes large inputs to."""

from __future__ import annotations

import mmap
import os
import stat

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.rpc import PredictRequest
from clipper_nb.protocol.rpc_memory import MARK_SIZE_BYTES, InputsInMemory, MemoryOffer


class InputMemory:
    """The memory that a query frontend has offered.

    Parameters
    ----------
    offer : MemoryOffer

    Raises
    ------
    OSError
        It cannot be opened here, or is not what was offered: the frontend may not be a process of this machine.
    """

    def __init__(self, offer: MemoryOffer) -> None:
        fd = os.open(offer.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_size != offer.size_bytes:
                raise OSError(f"{offer.path} is another file")
            self._memory = mmap.mmap(fd, offer.size_bytes, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        if self._memory[:MARK_SIZE_BYTES] != offer.mark:
            self._memory.close()
            raise OSError(f"{offer.path} is another file")

    def read(self, message: InputsInMemory) -> PredictRequest:
        """Return a batch with copies of its inputs: the frontend writes others there once it is answered."""
        memory = self._memory
        at = message.start
        if at + sum(message.sizes) > len(memory):
            raise ProtocolError(f"a batch ends after the {len(memory)} bytes of its memory")
        payloads: list[bytes | memoryview] = []
        for size in message.sizes:
            payloads.append(memory[at : at + size])
            at += size
        return PredictRequest(message.message_id, message.input_type, payloads, message.origins)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
