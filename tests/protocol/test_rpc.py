"""Frames between query frontend and model containers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol import rpc, rpc_memory
from clipper_nb.protocol.input_types import InputType
from tests.support.examples import examples

message_ids = st.integers(0, 2**32 - 1)
payload_lists = st.lists(st.binary(max_size=12), max_size=5)

from_container = st.one_of(
    st.builds(rpc.ContainerHeartbeat, st.booleans()),
    st.just(rpc.ContainerGoodbye()),
    st.builds(rpc.NewContainer, st.text(max_size=8), st.text(max_size=8), st.sampled_from(InputType)),
    st.builds(
        rpc.NewContainer,
        st.just("m"),
        st.just("1"),
        st.sampled_from(InputType),
        st.integers(1, 3),
        st.text(max_size=8),
        st.binary(min_size=1, max_size=40),
        st.booleans(),
    ),
    st.builds(rpc.PredictResponse, message_ids, payload_lists),
    st.builds(rpc.ContainerMetrics, st.binary(max_size=12)),
    st.just(rpc_memory.MemoryTaken()),
    st.builds(rpc.ErrorResponse, message_ids, st.text(max_size=8), st.text(max_size=8), st.text(max_size=20)),
)
from_frontend = st.one_of(
    st.builds(rpc.FrontendHeartbeat, st.booleans(), st.just(b"") | st.binary(min_size=32, max_size=32)),
    st.builds(rpc.FrontendHeartbeat, st.booleans(), st.binary(min_size=32, max_size=32), st.booleans()),
    st.builds(rpc.FrontendSockets, st.lists(st.text(max_size=8), max_size=5).map(tuple)),
    st.just(rpc.FrontendGoodbye()),
    st.builds(rpc.FrontendPorts, st.lists(st.integers(0, 65535), max_size=5).map(tuple)),
    st.builds(rpc.FrontendEnd, st.text()),
    st.builds(rpc.PredictRequest, message_ids, st.sampled_from(InputType), payload_lists, st.binary(max_size=12)),
    st.builds(
        rpc_memory.MemoryOffer, st.text(max_size=8), st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32)
    ),
    st.builds(
        rpc_memory.InputsInMemory,
        message_ids,
        st.sampled_from(InputType),
        st.lists(st.integers(0, 2**64 - 1), max_size=5).map(tuple),
        st.integers(0, 2**64 - 1),
        st.binary(max_size=12),
    ),
)

ENCODERS = {
    rpc.ContainerHeartbeat: rpc.encode_container_heartbeat,
    rpc.ContainerGoodbye: lambda message: rpc.encode_container_goodbye(),
    rpc.ContainerMetrics: rpc.encode_container_metrics,
    rpc.NewContainer: rpc.encode_new_container,
    rpc.PredictResponse: rpc.encode_predict_response,
    rpc.ErrorResponse: rpc.encode_error_response,
    rpc.FrontendHeartbeat: rpc.encode_frontend_heartbeat,
    rpc.FrontendGoodbye: lambda message: rpc.encode_frontend_goodbye(),
    rpc.PredictRequest: rpc.encode_predict_request,
    rpc.FrontendPorts: rpc.encode_frontend_ports,
    rpc.FrontendSockets: rpc.encode_frontend_sockets,
    rpc.FrontendEnd: rpc.encode_frontend_end,
    rpc_memory.MemoryTaken: lambda message: rpc_memory.encode_memory_taken(),
    rpc_memory.MemoryOffer: rpc_memory.encode_memory_offer,
    rpc_memory.InputsInMemory: rpc_memory.encode_inputs_in_memory,
}


def encode(message):
    return ENCODERS[type(message)](message)


def u32(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


def u64(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


# --- exactly the bytes of Clipper's RPC version 3


@pytest.mark.parametrize(
    ("message", "frames"),
    [
        (rpc.ContainerHeartbeat(), [b"", u32(2)]),
        (
            rpc.NewContainer("digits-net", "1", InputType.DOUBLES),
            [b"", u32(0), b"digits-net", b"1", b"3", u32(3)],
        ),
        (
            rpc.NewContainer("digits-net", "1", InputType.DOUBLES, 2),
            [b"", u32(0), b"digits-net", b"1", b"3", u32(3), u32(2)],
        ),
        (
            rpc.PredictResponse(258, [b"a", b"", b"bcd"]),
            [b"", u32(1), b"\x02\x01\0\0", u64(32), u64(3, 1, 0, 3), b"a", b"", b"bcd"],
        ),
        (rpc.ContainerHeartbeat(can_prove=True), [b"", u32(2), u32(1)]),
        (
            rpc.NewContainer("digits-net", "1", InputType.DOUBLES, 2, "digits-net_1-0a1b2c", b"proof"),
            [b"", u32(0), b"digits-net", b"1", b"3", u32(3), u32(2), b"digits-net_1-0a1b2c", b"proof"],
        ),
        (rpc.FrontendHeartbeat(True, bytes(32)), [b"", u32(3), u32(2), u32(1), bytes(32)]),
        (rpc.FrontendHeartbeat(True, bytes(32), True), [b"", u32(3), u32(2), u32(1), bytes(32), u32(1)]),
        (rpc.ContainerMetrics(b"report"), [b"", u32(8), b"report"]),
        (rpc.FrontendSockets(("0.sock", "1.sock")), [b"", u32(3), u32(7), b"0.sock", b"1.sock"]),
        (rpc.FrontendHeartbeat(wants_metadata=True), [b"", u32(3), u32(2), u32(1)]),
        (rpc.FrontendHeartbeat(wants_metadata=False), [b"", u32(3), u32(2), u32(0)]),
        (
            rpc.PredictRequest(7, InputType.STRINGS, [b"ab", b""]),
            [b"", u32(3), u32(1), u32(7), u32(0), u64(32), u64(4, 2, 2, 0), b"ab", b""],
        ),
        (
            rpc.NewContainer("digits-net", "1", InputType.DOUBLES, 2, accepts_origins=True),
            [b"", u32(0), b"digits-net", b"1", b"3", u32(3), u32(2, 1)],
        ),
        (
            rpc.PredictRequest(7, InputType.STRINGS, [b"ab", b""], b"[]"),
            [b"", u32(3), u32(1), u32(7), u32(0), u64(32), u64(4, 2, 2, 0), b"ab", b"", b"[]"],
        ),
        (
            rpc.ErrorResponse(7, "ValueError", "no", "Traceback"),
            [b"", u32(3), u32(7), b"ValueError", b"no", b"Traceback"],
        ),
        (rpc.ContainerGoodbye(), [b"", u32(4)]),
        (rpc.FrontendGoodbye(), [b"", u32(3), u32(4)]),
        (rpc.FrontendPorts((7000, 7001)), [b"", u32(3), u32(5), u32(7000), u32(7001)]),
        (rpc.FrontendEnd("It hangs."), [b"", u32(3), u32(6), b"It hangs."]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frames_are_those_of_the_protocol(message, frames):
    assert encode(message) == frames


# --- there and back


@examples(200)
@given(from_container)
def test_frontend_reads_what_a_container_writes(message):
    assert rpc.decode_from_container(encode(message)) == message


@examples(200)
@given(from_frontend)
def test_container_reads_what_a_frontend_writes(message):
    assert rpc.decode_from_frontend(encode(message)) == message


@examples(100)
@given(from_container, from_frontend)
def test_views_are_read_as_bytes_are(container_message, frontend_message):
    """Sockets that do not copy give views."""
    decoded = rpc.decode_from_container([memoryview(frame) for frame in encode(container_message)])
    assert decoded == container_message
    decoded = rpc.decode_from_frontend([memoryview(frame) for frame in encode(frontend_message)])
    assert decoded == frontend_message


def test_payloads_are_not_copied():
    payload = b"x" * 100
    assert rpc.encode_predict_request(rpc.PredictRequest(1, InputType.BYTES, [payload]))[-1] is payload


def test_error_text_that_is_not_utf8_arrives_with_replacements():
    """What a model raises may hold half a character; its answer must still come."""
    frames = rpc.encode_error_response(rpc.ErrorResponse(1, "E", "a\ud800b", ""))
    assert rpc.decode_from_container(frames) == rpc.ErrorResponse(1, "E", "a?b", "")
    frames[4] = b"a\xffb"
    assert rpc.decode_from_container(frames) == rpc.ErrorResponse(1, "E", "a\ufffdb", "")


# --- what other containers write


@pytest.mark.parametrize("code", [b"3", b"3\0", b"3\0\0garbage", b" 3 ", b"03"])
def test_input_type_text_may_be_padded(code):
    """C++ and R containers send as many bytes as their version has."""
    message = rpc.decode_from_container([b"", u32(0), b"m", b"10", code, u32(3)])
    assert message == rpc.NewContainer("m", "10", InputType.DOUBLES)


def test_numbers_may_be_wider_than_needed():
    """JVM containers send eight bytes."""
    assert rpc.decode_from_container([b"", u64(0), b"m", b"1", b"0", u64(3)]) == rpc.NewContainer(
        "m", "1", InputType.BYTES
    )


def test_frames_after_the_last_are_ignored():
    assert rpc.decode_from_container([b"", u32(2), b"more"]) == rpc.ContainerHeartbeat()
    assert rpc.decode_from_frontend([b"", u32(3), u32(2), u32(1), b"more"]) == rpc.FrontendHeartbeat(True)


# --- what is refused

RESPONSE = [b"", u32(1), u32(5), u64(24), u64(2, 1, 1), b"a", b"b"]
REQUEST = [b"", u32(3), u32(1), u32(5), u32(0), u64(32), u64(0, 2, 1, 1), b"a", b"b"]
NEW_CONTAINER = [b"", u32(0), b"m", b"1", b"3", u32(3)]


def with_frame(frames, position, frame):
    return [*frames[:position], frame, *frames[position + 1 :]]


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([], "frames"),
        ([b""], "frames"),
        ([b"x", u32(2)], "does not begin with an empty frame"),
        ([b"", b""], "message type"),
        ([b"", b"\x02\0\0"], "message type"),
        ([b"", u32(5)], "unknown message type 5"),
        ([b"", u32(2**32 - 1)], "unknown message type"),
        (NEW_CONTAINER[:5], "RPC version"),
        (with_frame(NEW_CONTAINER, 5, u32(2)), "RPC version 2"),
        (with_frame(NEW_CONTAINER, 5, b""), "RPC version"),
        (with_frame(NEW_CONTAINER, 4, b""), "input type"),
        (with_frame(NEW_CONTAINER, 4, b"6"), "input type"),
        (with_frame(NEW_CONTAINER, 4, b"-1"), "input type"),
        (with_frame(NEW_CONTAINER, 4, b"doubles"), "input type"),
        (with_frame(NEW_CONTAINER, 4, b"\xff"), "input type"),
        (with_frame(NEW_CONTAINER, 4, b"1" * 5000), "input type"),
        (with_frame(NEW_CONTAINER, 2, b"\xff"), "model name"),
        (with_frame(NEW_CONTAINER, 3, b"\xff"), "model version"),
        (RESPONSE[:4], "predict response"),
        (RESPONSE[:6], "2 outputs were announced, 1 came"),
        ([*RESPONSE, b"c"], "2 outputs were announced, 3 came"),
        (with_frame(RESPONSE, 2, b"12"), "message id"),
        (with_frame(RESPONSE, 3, u64(23)), "23 were announced"),
        (with_frame(RESPONSE, 3, b""), "header size"),
        (with_frame(RESPONSE, 4, u64(3, 1, 1)), "announces 3 sizes and holds 2"),
        (with_frame(RESPONSE, 5, b"aa"), "has 2 bytes, 1 were announced"),
        ([b"", u32(1), u32(5), u64(0), b""], "not a whole number of fields"),
        ([b"", u32(1), u32(5), u64(9), b"123456789"], "not a whole number of fields"),
        ([b"", u32(1), u32(5), u64(8), u64(2**63)], "announces"),
        ([b"", u32(3), u32(5), b"E", b"m"], "error response"),
        ([b"", u32(3), b"", b"E", b"m", b"t"], "message id"),
    ],
)
def test_malformed_message_of_a_container_is_refused(frames, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        rpc.decode_from_container(frames)


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([], "frames"),
        ([b"", u32(3)], "frames"),
        ([b"", u32(2), u32(2), u32(0)], "speaks RPC version 2"),
        ([b"x", u32(3), u32(2), u32(0)], "does not begin with an empty frame"),
        ([b"", u32(3), u32(2)], "heartbeat"),
        ([b"", u32(3), u32(2), b""], "heartbeat type"),
        ([b"", u32(3), u32(0)], "unknown message type 0"),
        ([b"", u32(3), u32(11)], "unknown message type 11"),
        ([b"", u32(3), u32(9)], "a memory has 3 frames"),
        ([b"", u32(3), u32(9), b"/x", u64(1), b"short"], "mark of a memory has 5 bytes"),
        ([b"", u32(3), u32(10), u32(5), u32(0), u64(16), u64(0, 0)], "7 frames"),
        ([b"", u32(3), u32(10), u32(5), u32(0), u64(16), u64(0, 0), b""], "start of the inputs"),
        (REQUEST[:6], "predict request"),
        (REQUEST[:8], "2 inputs were announced, 1 came"),
        ([*REQUEST, b"c", b"d"], "2 inputs were announced, 4 came"),
        (with_frame(REQUEST, 4, u32(1)), "unknown request type 1"),
        (with_frame(REQUEST, 5, u64(24)), "24 were announced"),
        (with_frame(REQUEST, 6, u64(9, 2, 1, 1)), "unknown input type code 9"),
        (with_frame(REQUEST, 6, u64(0, 1, 1, 1)), "announces 1 sizes and holds 2"),
        (with_frame(REQUEST, 7, b""), "has 0 bytes, 1 were announced"),
        ([b"", u32(3), u32(1), u32(5), u32(0), u64(8), u64(0)], "not a whole number of fields"),
    ],
)
def test_malformed_message_of_a_frontend_is_refused(frames, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        rpc.decode_from_frontend(frames)


frames_of_any_kind = st.lists(
    st.binary(max_size=20)
    | st.integers(0, 5).map(lambda number: u32(number))
    | st.lists(st.integers(0, 4), max_size=4).map(lambda numbers: u64(*numbers))
    | st.just(b""),
    max_size=9,
)


@pytest.mark.slow
@examples(400)
@given(frames_of_any_kind, st.booleans(), st.integers(0, 11))
def test_any_frames_are_a_message_or_a_protocol_error(frames, begins_well, message_type):
    if begins_well:
        frames = [b"", u32(message_type), *frames]
    for decode in (rpc.decode_from_container, rpc.decode_from_frontend):
        try:
            message = decode(frames)
        except ProtocolError:
            continue
        assert type(message) in ENCODERS


@st.composite
def mutated(draw, messages):
    """Draw the frames of a message after a few small changes."""
    frames = [bytes(frame) for frame in encode(draw(messages))]
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, max(0, len(frames) - 1)))
        kind = draw(st.sampled_from(["drop", "repeat", "replace", "flip", "cut", "swap"]))
        if not frames:
            break
        frame = frames[position]
        if kind == "drop":
            del frames[position]
        elif kind == "repeat":
            frames.insert(position, frame)
        elif kind == "replace":
            frames[position] = draw(st.binary(max_size=24))
        elif kind == "flip" and frame:
            at = draw(st.integers(0, len(frame) - 1))
            frames[position] = frame[:at] + bytes([frame[at] ^ (1 << draw(st.integers(0, 7)))]) + frame[at + 1 :]
        elif kind == "cut":
            frames[position] = frame[: draw(st.integers(0, len(frame)))]
        elif kind == "swap":
            other = draw(st.integers(0, len(frames) - 1))
            frames[position], frames[other] = frames[other], frame
    return frames


@pytest.mark.slow
@examples(400)
@given(mutated(from_container))
def test_damaged_container_message_parses_or_is_protocol_error(frames):
    try:
        message = rpc.decode_from_container(frames)
    except ProtocolError:
        return
    if isinstance(message, rpc.PredictResponse):
        announced = struct.unpack(f"<{len(frames[4]) // 8}Q", frames[4])
        assert announced == (len(message.outputs), *(len(output) for output in message.outputs))


@pytest.mark.slow
@examples(400)
@given(mutated(from_frontend))
def test_damaged_frontend_message_parses_or_is_protocol_error(frames):
    try:
        message = rpc.decode_from_frontend(frames)
    except ProtocolError:
        return
    if isinstance(message, rpc.PredictRequest):
        announced = struct.unpack(f"<{len(frames[6]) // 8}Q", frames[6])
        sizes = [len(payload) for payload in message.payloads]
        assert announced == (message.input_type.code, len(sizes), *sizes)
