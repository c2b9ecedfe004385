"""What a request says of where it comes from: read from its headers, sent to replicas, shown in logs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.request_origin import (
    RequestOrigin,
    decode_origins,
    describe_origins,
    encode_origins,
    find_origin,
    key_of,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def test_both_headers_are_found_in_any_case() -> None:
    headers = [(b"Host", b"x"), (b"X-Request-ID", b" abc-1 "), (b"TraceParent", TRACEPARENT.encode())]
    assert find_origin(headers) == RequestOrigin("abc-1", TRACEPARENT)


@pytest.mark.parametrize(
    "value",
    [b"", b"a b", b"a\tb", b"\xc3\xa4", b"a" * 129, b"[x", b"a\x1b[31m", b'a"b', b"a,b", b"<b>"],
)
def test_request_id_that_is_not_short_plain_text_is_ignored(value: bytes) -> None:
    assert find_origin([(b"X-Request-Id", value)]) is None


@pytest.mark.parametrize(
    "value",
    [
        TRACEPARENT.upper(),
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"{TRACEPARENT}-more",
        TRACEPARENT[:-1],
        "",
    ],
)
def test_invalid_traceparent_is_ignored(value: str) -> None:
    assert find_origin([(b"traceparent", value.encode())]) is None


@pytest.mark.parametrize(("flags", "expected"), [("01", TRACE_ID), ("03", TRACE_ID), ("00", ""), ("02", "")])
def test_flag_says_whether_a_trace_is_sampled(flags: str, expected: str) -> None:
    origin = RequestOrigin(traceparent=f"{TRACEPARENT[:-2]}{flags}")
    assert (origin.trace_id, origin.sampled_trace_id) == (TRACE_ID, expected)
    assert RequestOrigin("abc-1").sampled_trace_id == ""


def test_later_version_of_traceparent_may_be_longer() -> None:
    later = f"01{TRACEPARENT[2:]}-more"
    assert find_origin([(b"traceparent", later.encode())]) == RequestOrigin("", later)


def test_header_that_is_sent_twice_says_nothing() -> None:
    assert find_origin([(b"X-Request-Id", b"a"), (b"x-request-id", b"b")]) is None


def test_key_is_any_value_and_goes_no_further() -> None:
    found = find_origin([(b"X-Clipper-Key", " ü [x] ".encode())])
    assert found is not None
    assert (found.key, found.request_id, found.traceparent) == ("ü [x]".encode(), "", "")
    assert "ü" not in f"{found} {found!r}"
    assert decode_origins(encode_origins([[found, RequestOrigin("a", key=b"k")]])) == [RequestOrigin("a")]


def test_several_keys_are_one_and_an_empty_one_is_none() -> None:
    assert find_origin([(b"x-clipper-key", b"a"), (b"X-Clipper-Key", b"b")]) == RequestOrigin(key=b"a,b")
    assert find_origin([(b"x-clipper-key", b" ")]) is None


def test_key_in_the_body_wins_over_the_header() -> None:
    origin = RequestOrigin(key=b"header")
    assert (key_of(b"body", origin), key_of(None, origin), key_of(b"body", None)) == (b"body", b"header", b"body")
    assert key_of(None, RequestOrigin("a")) is key_of(None, None) is None


@given(st.lists(st.tuples(st.sampled_from([b"x-request-id", b"traceparent"]), st.binary(max_size=200)), max_size=3))
def test_whatever_is_found_can_be_shown_in_a_line(headers: list[tuple[bytes, bytes]]) -> None:
    origin = find_origin(headers)
    assert origin is None or (str(origin).isprintable() and str(origin).isascii())


def test_origins_of_a_batch_arrive_as_they_were_sent() -> None:
    a, b, c = RequestOrigin("a"), RequestOrigin("b", TRACEPARENT), RequestOrigin("", TRACEPARENT)
    assert decode_origins(encode_origins([[a], [], [b, c]])) == [a, b, c]


@pytest.mark.parametrize("frame", [b"", b"{}", b"[[1]]", b'[["a","b","c"]]', b"\xff"])
def test_frame_with_anything_else_is_refused(frame: bytes) -> None:
    with pytest.raises(ProtocolError, match="origins of a batch cannot be read"):
        decode_origins(frame)


def test_description_names_the_first_few() -> None:
    assert describe_origins([RequestOrigin("a", TRACEPARENT)]) == f"request a trace {TRACE_ID}"
    many = [RequestOrigin(f"r{number}") for number in range(10)]
    assert describe_origins(many) == "requests r0, r1, r2, r3, r4, r5, r6, r7 and 2 more"
