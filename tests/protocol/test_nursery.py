"""Messages between the supervisor and the processes that fork replicas."""

from __future__ import annotations

import os

import pytest

from clipper_nb.protocol.nursery import (
    NAME_SIZE_BYTES,
    Answer,
    Fork,
    Import,
    decode_answer,
    open_socket,
    padded_name,
    receive_request,
    send_message,
)


@pytest.mark.parametrize(
    "request_", [Import(("numpy", "sklearn.tree")), Fork({"CLIPPER_MODEL_NAME": "m"}, "/images/m", 0o22, "/images/m")]
)
def test_requests_arrive_as_they_were_sent(request_):
    one, other = open_socket()
    with one, other:
        send_message(one, request_)
        assert receive_request(other) == (request_, [])


def test_descriptors_arrive_and_no_program_inherits_them():
    reader, writer = os.pipe()
    one, other = open_socket()
    with one, other:
        send_message(one, Import(()), [writer])
        _, (received,) = receive_request(other) or (None, ())
        os.write(received, b"x")
        assert os.read(reader, 1) == b"x"
        assert not os.get_inheritable(received)
    for fd in (reader, writer, received):
        os.close(fd)


def test_closed_socket_has_no_more_requests():
    one, other = open_socket()
    one.close()
    assert receive_request(other) is None
    other.close()


def test_what_is_no_answer_is_refused():
    assert decode_answer(b'{"pid": 3, "later": 1}') == Answer(pid=3)
    for data in (b"", b"{", b'{"pid": "x"}'):
        with pytest.raises(ValueError, match=r"."):
            decode_answer(data)


def test_padded_names_have_one_length():
    assert {len(padded_name(name)) for name in ("", "m_1-abc", "x" * 500)} == {NAME_SIZE_BYTES}
    assert padded_name("m_1-abc").strip() == "m_1-abc"
