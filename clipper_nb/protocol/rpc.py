"""Messages between query frontend and model containers: Clipper's RPC version 3, and messages that extend it.

Each message is a frozen dataclass; ``encode_…`` returns its frames and ``decode_…`` accepts them, both without the
router's identity frame and with the empty delimiter. All integers are little-endian. ``docs/protocol.md`` has the
tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Union

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rpc_fields import (
    U32,
    U64,
    Frame,
    check_count,
    check_sizes,
    pack_u64s,
    read_header_sizes,
    read_message_type,
    read_text,
    read_u32,
    read_u64,
)
from clipper_nb.protocol.rpc_memory import (
    INPUTS_IN_MEMORY,
    MEMORY,
    InputsInMemory,
    MemoryOffer,
    MemoryTaken,
    decode_inputs_in_memory,
    decode_memory_offer,
    read_inputs_header,
)

RPC_VERSION = 3
CHALLENGE_SIZE_BYTES = 32

_NEW_CONTAINER = 0
_CONTAINER_CONTENT = 1
_HEARTBEAT = 2
_ERROR_RESPONSE = 3  # ours
_GOODBYE = 4  # ours
_PORTS = 5  # ours
_END = 6  # ours
_SOCKETS = 7  # ours
_METRICS = 8  # ours

_KEEP_ALIVE = 0
_REQUEST_METADATA = 1
_CAN_PROVE = _ACCEPTS_ORIGINS = _ACCEPTS_METRICS = 1

_VERSION_FRAME = U32.pack(RPC_VERSION)
_TYPE_FRAMES = [U32.pack(code) for code in range(9)]
_PREDICT_FRAME = U32.pack(0)
_DELIMITER = b""


# --- container to frontend ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ContainerHeartbeat:
    """A container reports that it is alive."""

    can_prove: bool = False
    """Whether it has a token, and so understands a challenge (extension)."""


@dataclass(frozen=True)
class NewContainer:
    """A container reports which model version it serves."""

    model_name: str
    model_version: str
    input_type: InputType
    max_batches_in_flight: int = 1
    """How many batches it accepts before it has answered the first; containers written for Clipper do not send it."""
    replica_name: str = ""
    """Which replica it is; empty without a proof."""
    proof: bytes = field(default=b"", repr=False)
    """The answer to the frontend's challenge (``protocol/replica_proof.py``); empty if the container has no token."""
    accepts_origins: bool = False
    """Whether it reads where the queries of a batch come from."""

    @property
    def speaks_extensions(self) -> bool:
        """True if it knows all extensions; containers written for Clipper take one batch at a time."""
        return self.max_batches_in_flight > 1


class PredictResponse(NamedTuple):
    """The outputs of one batch, as UTF-8 text."""

    message_id: int
    outputs: Sequence[Frame]


@dataclass(frozen=True)
class ErrorResponse:
    """The model raised, or did not return one output per input (extension)."""

    message_id: int
    exception_type: str
    message: str
    traceback_text: str


@dataclass(frozen=True)
class ContainerGoodbye:
    """The replica drains: it finishes its batches and gets no new ones (extension)."""


@dataclass(frozen=True)
class ContainerMetrics:
    """What the model has counted itself since the last report (extension): ``protocol/model_metrics.py``."""

    payload: Frame


FromContainer = Union[
    ContainerHeartbeat, NewContainer, PredictResponse, ErrorResponse, ContainerGoodbye, ContainerMetrics, MemoryTaken
]


# --- frontend to container ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FrontendHeartbeat:
    """The frontend is alive; it asks for the metadata if it does not know the container."""

    wants_metadata: bool
    challenge: bytes = b""
    """What the container must prove itself with; only for one that can (extension)."""
    accepts_metrics: bool = False
    """Whether it reads what models count themselves; only sent with a challenge (extension)."""


class PredictRequest(NamedTuple):
    """One batch of inputs."""

    message_id: int
    input_type: InputType
    payloads: Sequence[Frame]
    origins: Frame = b""
    """Where its queries come from, if that is known (``protocol/request_origin.py``); empty otherwise (extension)."""


@dataclass(frozen=True)
class FrontendGoodbye:
    """No batch is on its way any more: the replica that said goodbye may leave (extension)."""


@dataclass(frozen=True)
class FrontendPorts:
    """The ports of this host's query frontends; a replica must connect to all of them (extension)."""

    ports: tuple[int, ...]


@dataclass(frozen=True)
class FrontendSockets:
    """The same for a replica that came through a Unix socket: the names of all sockets beside it (extension)."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class FrontendEnd:
    """The replica is busy with one batch for too long: it must end, so that it is started again (extension)."""

    reason: str


FromFrontend = Union[
    FrontendHeartbeat, PredictRequest, InputsInMemory, FrontendGoodbye, FrontendPorts, FrontendSockets, FrontendEnd,
    MemoryOffer,
]  # fmt: skip


# --- what a container writes -------------------------------------------------------------------------------------


def encode_container_heartbeat(message: ContainerHeartbeat) -> list[Frame]:
    """Return the frames of :class:`ContainerHeartbeat`."""
    frames: list[Frame] = [_DELIMITER, _TYPE_FRAMES[_HEARTBEAT]]
    if message.can_prove:
        frames.append(U32.pack(_CAN_PROVE))
    return frames


def encode_new_container(message: NewContainer) -> list[Frame]:
    """Return the frames of :class:`NewContainer`."""
    frames: list[Frame] = [
        _DELIMITER,
        _TYPE_FRAMES[_NEW_CONTAINER],
        message.model_name.encode(),
        message.model_version.encode(),
        str(message.input_type.code).encode(),
        _VERSION_FRAME,
    ]
    if message.speaks_extensions or message.proof:
        in_flight = U32.pack(message.max_batches_in_flight)
        # Frontends of before read the first number only.
        frames.append(in_flight + U32.pack(_ACCEPTS_ORIGINS) if message.accepts_origins else in_flight)
    if message.proof:
        frames += [message.replica_name.encode(), message.proof]
    return frames


def encode_predict_response(message: PredictResponse) -> list[Frame]:
    """Return the frames of :class:`PredictResponse`."""
    header = pack_u64s(len(message.outputs), *map(len, message.outputs))
    return [
        _DELIMITER, _TYPE_FRAMES[_CONTAINER_CONTENT], U32.pack(message.message_id), U64.pack(len(header)), header,
        *message.outputs,
    ]  # fmt: skip


def encode_error_response(message: ErrorResponse) -> list[Frame]:
    """Return the frames of :class:`ErrorResponse`."""
    texts = (message.exception_type, message.message, message.traceback_text)
    return [
        _DELIMITER,
        _TYPE_FRAMES[_ERROR_RESPONSE],
        U32.pack(message.message_id),
        *(text.encode("utf-8", "replace") for text in texts),
    ]


def encode_container_goodbye() -> list[Frame]:
    """Return the frames of :class:`ContainerGoodbye`."""
    return [_DELIMITER, _TYPE_FRAMES[_GOODBYE]]


def encode_container_metrics(message: ContainerMetrics) -> list[Frame]:
    """Return the frames of :class:`ContainerMetrics`."""
    return [_DELIMITER, _TYPE_FRAMES[_METRICS], message.payload]


# --- what the frontend reads -------------------------------------------------------------------------------------


def decode_from_container(frames: Sequence[Frame]) -> FromContainer:
    """Return the message in *frames*.

    Raises
    ------
    ProtocolError
        The frames are malformed or of another version; nothing in them was used.
    """
    message_type = read_message_type(frames, at=1)
    if message_type == _HEARTBEAT:
        return ContainerHeartbeat(can_prove=len(frames) > 2 and read_u32(frames[2], "proof") == _CAN_PROVE)
    if message_type == _CONTAINER_CONTENT:
        return _decode_predict_response(frames)
    if message_type == _NEW_CONTAINER:
        return _decode_new_container(frames)
    if message_type == _ERROR_RESPONSE:
        check_count(frames, 6, "error response")
        texts = [read_text(frame, "error response", "replace") for frame in frames[3:6]]
        return ErrorResponse(read_u32(frames[2], "message id"), texts[0], texts[1], texts[2])
    if message_type == _GOODBYE:
        return ContainerGoodbye()
    if message_type == _METRICS:
        check_count(frames, 3, "report of metrics")
        return ContainerMetrics(frames[2])
    if message_type == MEMORY:
        return MemoryTaken()
    raise ProtocolError(f"unknown message type {message_type}")


def _decode_new_container(frames: Sequence[Frame]) -> NewContainer:
    if len(frames) < 6:
        raise ProtocolError("a new container did not say which RPC version it speaks (6 frames expected)")
    version = read_u32(frames[5], "RPC version")
    if version != RPC_VERSION:
        raise ProtocolError(f"a new container speaks RPC version {version}, this frontend speaks {RPC_VERSION}")
    # C++ and R containers send as many bytes for the type as the version has, so NUL bytes may follow.
    code = read_text(frames[4], "input type").split("\0")[0]
    try:
        input_type = InputType.from_code(int(code))
    except ValueError as exc:
        raise ProtocolError(f"a new container has an unknown input type: {code!r}") from exc
    max_in_flight = read_u32(frames[6], "batches in flight") if len(frames) > 6 else 1
    if max_in_flight < 1:
        raise ProtocolError("a new container accepts no batches")
    replica_name, proof = "", b""
    if len(frames) > 8 and len(frames[8]):
        replica_name, proof = read_text(frames[7], "replica name"), bytes(frames[8])
    name, model_version = read_text(frames[2], "model name"), read_text(frames[3], "model version")
    accepts_origins = len(frames) > 6 and len(frames[6]) == 2 * U32.size and U32.unpack_from(frames[6], 4)[0] == 1
    return NewContainer(name, model_version, input_type, max_in_flight, replica_name, proof, accepts_origins)


def _decode_predict_response(frames: Sequence[Frame]) -> PredictResponse:
    check_count(frames, 5, "predict response")
    sizes = read_header_sizes(frames[4], declared_size=read_u64(frames[3], "header size"), first_fields=0)
    outputs = frames[5:]
    check_sizes(outputs, sizes, "output")
    return PredictResponse(read_u32(frames[2], "message id"), outputs)


# --- what the frontend writes ------------------------------------------------------------------------------------


def encode_frontend_heartbeat(message: FrontendHeartbeat) -> list[Frame]:
    """Return the frames of :class:`FrontendHeartbeat`."""
    kind = _REQUEST_METADATA if message.wants_metadata else _KEEP_ALIVE
    frames: list[Frame] = [_DELIMITER, _VERSION_FRAME, _TYPE_FRAMES[_HEARTBEAT], U32.pack(kind)]
    if message.challenge:
        frames.append(message.challenge)
        if message.accepts_metrics:
            frames.append(U32.pack(_ACCEPTS_METRICS))
    return frames


def encode_predict_request(message: PredictRequest) -> list[Frame]:
    """Return the frames of :class:`PredictRequest`; the payloads are not copied."""
    payloads = message.payloads
    header = pack_u64s(message.input_type.code, len(payloads), *map(len, payloads))
    frames: list[Frame] = [
        _DELIMITER, _VERSION_FRAME, _TYPE_FRAMES[_CONTAINER_CONTENT], U32.pack(message.message_id), _PREDICT_FRAME,
        U64.pack(len(header)), header, *payloads,
    ]  # fmt: skip
    if message.origins:
        frames.append(message.origins)
    return frames


def encode_frontend_goodbye() -> list[Frame]:
    """Return the frames of :class:`FrontendGoodbye`."""
    return [_DELIMITER, _VERSION_FRAME, _TYPE_FRAMES[_GOODBYE]]


def encode_frontend_ports(message: FrontendPorts) -> list[Frame]:
    """Return the frames of :class:`FrontendPorts`."""
    return [_DELIMITER, _VERSION_FRAME, _TYPE_FRAMES[_PORTS], *(U32.pack(port) for port in message.ports)]


def encode_frontend_sockets(message: FrontendSockets) -> list[Frame]:
    """Return the frames of :class:`FrontendSockets`."""
    return [_DELIMITER, _VERSION_FRAME, _TYPE_FRAMES[_SOCKETS], *(name.encode() for name in message.names)]


def encode_frontend_end(message: FrontendEnd) -> list[Frame]:
    """Return the frames of :class:`FrontendEnd`."""
    return [_DELIMITER, _VERSION_FRAME, _TYPE_FRAMES[_END], message.reason.encode("utf-8", "replace")]


# --- what a container reads --------------------------------------------------------------------------------------


def decode_from_frontend(frames: Sequence[Frame]) -> FromFrontend:
    """Return the message in *frames*; raises :class:`ProtocolError` like :func:`decode_from_container`."""
    check_count(frames, 3, "message")
    version = read_u32(frames[1], "RPC version")
    if version != RPC_VERSION:
        raise ProtocolError(f"the query frontend speaks RPC version {version}, this container speaks {RPC_VERSION}")
    message_type = read_message_type(frames, at=2)
    if message_type == _HEARTBEAT:
        check_count(frames, 4, "heartbeat")
        wants_metadata = read_u32(frames[3], "heartbeat type") == _REQUEST_METADATA
        is_challenge = len(frames) > 4 and len(frames[4]) == CHALLENGE_SIZE_BYTES
        if not is_challenge:
            return FrontendHeartbeat(wants_metadata)
        accepts_metrics = len(frames) > 5 and read_u32(frames[5], "metrics") == _ACCEPTS_METRICS
        return FrontendHeartbeat(wants_metadata, bytes(frames[4]), accepts_metrics)
    if message_type == _CONTAINER_CONTENT:
        return _decode_predict_request(frames)
    if message_type == INPUTS_IN_MEMORY:
        return decode_inputs_in_memory(frames)
    if message_type == MEMORY:
        return decode_memory_offer(frames)
    if message_type == _GOODBYE:
        return FrontendGoodbye()
    if message_type == _PORTS:
        return FrontendPorts(tuple(read_u32(frame, "port") for frame in frames[3:]))
    if message_type == _SOCKETS:
        return FrontendSockets(tuple(read_text(frame, "socket name") for frame in frames[3:]))
    if message_type == _END:
        check_count(frames, 4, "request to end")
        return FrontendEnd(read_text(frames[3], "reason", "replace"))
    raise ProtocolError(f"unknown message type {message_type}")


def _decode_predict_request(frames: Sequence[Frame]) -> PredictRequest:
    check_count(frames, 7, "predict request")
    input_type, sizes = read_inputs_header(frames)
    has_origins = len(frames) == 8 + len(sizes)
    payloads = frames[7:-1] if has_origins else frames[7:]
    check_sizes(payloads, sizes, "input")
    origins = frames[-1] if has_origins else b""
    return PredictRequest(read_u32(frames[3], "message id"), input_type, payloads, origins)
