"""One model container's connection to this query frontend."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.rpc import PredictRequest, encode_predict_request
from clipper_nb.protocol.rpc_fields import Frame
from clipper_nb.protocol.rpc_memory import InputsInMemory, encode_inputs_in_memory, encode_memory_offer
from clipper_nb.protocol.zmtp import MAX_MESSAGE_SIZE_BYTES, ROUTER, ZmtpPeer, encode_pieces
from clipper_nb.runtime.rpc.input_memory import LARGE_INPUT_SIZE_BYTES, InputMemory
from clipper_nb.runtime.rpc.peers import UNIX, UNKNOWN, peer_of
from clipper_nb.runtime.rpc.sessions import Session

logger = logging.getLogger(__name__)

_HANDSHAKE_TIMEOUT_S = 10.0
_MAX_STRANGERS_MESSAGE_SIZE_BYTES = 1 << 20


class Server(Protocol):
    """The interface of a server for its connections."""

    def opened(self, connection: Connection) -> None:
        """Add a new connection."""

    def received(self, identity: bytes, frames: list[bytes]) -> None:
        """Process one message of a connection."""

    def closed(self, connection: Connection) -> None:
        """Remove a closed connection and its session."""


class Connection(asyncio.Protocol):
    """One model container's connection."""

    def __init__(self, server: Server, identity: bytes) -> None:
        self.identity = identity
        self._server = server
        self._peer = ZmtpPeer(ROUTER, max_message_size_bytes=_MAX_STRANGERS_MESSAGE_SIZE_BYTES)
        self.peer = UNKNOWN
        self._memory: InputMemory | None = None
        self._has_memory = True  # until it is known that there is none
        self._transport: asyncio.Transport
        self._handshake_timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # asyncio documents the type only in prose
        self.peer = peer_of(transport.get_extra_info("peername"))
        self._has_memory = self.peer is UNIX
        self._transport.write(self._peer.opening())
        self._handshake_timer = asyncio.get_running_loop().call_later(_HANDSHAKE_TIMEOUT_S, self._give_up_handshake)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._peer.receive(data)
        except ProtocolError as exc:
            logger.warning("closes the connection of a model container: %s", exc)
            self._transport.abort()
            return
        if self._peer.replies:
            self._transport.write(self._peer.replies)
            self._peer.replies = b""
        for frames in messages:
            self._server.received(self.identity, frames)

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshake_timer.cancel()
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        self._server.closed(self)

    def send_batch(self, request: PredictRequest, session: Session) -> bool:
        """Send a batch; return whether that is possible."""
        payloads = request.payloads
        if self._has_memory and len(payloads[0]) >= LARGE_INPUT_SIZE_BYTES and session.accepts_origins:
            memory = self._memory
            if memory is None:
                self._offer_memory(session.max_batches_in_flight)
            elif memory.is_used and (start := memory.put(payloads)) is not None:
                sizes = list(map(len, payloads))
                there = InputsInMemory(request.message_id, request.input_type, sizes, start, request.origins)
                return self.send(encode_inputs_in_memory(there))
        return self.send(encode_predict_request(request))

    def send(self, frames: list[Frame]) -> bool:
        """Send a message; return whether that is possible."""
        if self._transport.is_closing():
            return False
        for piece in encode_pieces(frames):
            self._transport.write(piece)
        return True

    def _offer_memory(self, num_batches: int) -> None:
        try:
            self._memory = InputMemory(num_batches)
        except (OSError, AttributeError) as exc:  # another system than Linux has no such call
            logger.info("large inputs go through sockets: %s", exc)
            self._has_memory = False
        else:
            self.send(encode_memory_offer(self._memory.offer))

    def use_memory(self) -> None:
        """Write large inputs to the memory that was offered: the replica has it."""
        if self._memory is not None:
            self._memory.is_used = True

    def trust(self) -> None:
        """Accept messages of any reasonable size."""
        self._peer.max_message_size_bytes = MAX_MESSAGE_SIZE_BYTES

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def _give_up_handshake(self) -> None:
        if not self._peer.is_ready:
            self._transport.abort()
