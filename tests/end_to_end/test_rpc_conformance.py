"""A container written for Clipper, from outside: RPC version 3 with nothing but pyzmq and frames of its own.

The frames are written out here on purpose, without the package's codec: what is tested is that somebody else's
container, which knows only Clipper's protocol, is served.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq

from clipper_nb import ClipperConnection
from tests.support.clusters import eventually, kill, query, running_cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.same_on_docker,
    pytest.mark.not_on_kubernetes("the RPC port is not published"),
]


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


class ClipperContainer:
    """Speaks as Clipper's Python container did: one socket, one thread, one request at a time.

    Parameters
    ----------
    predict : callable
        From the raw input frames to a list of output texts.
    """

    def __init__(
        self,
        port: int,
        name: str,
        version: str,
        input_type: int,
        predict: Callable[[list[bytes]], list[bytes]],
        *,
        type_frame: bytes | None = None,
        version_frame: bytes = u32(3),
    ) -> None:
        self._address = f"tcp://127.0.0.1:{port}"
        self._metadata = [
            b"", u32(0), name.encode(), version.encode(), type_frame or str(input_type).encode(), version_frame,
        ]  # fmt: skip
        self._input_type = input_type
        self._predict = predict
        self._stopping = threading.Event()
        self.events: list[str] = []
        self.asked_for_metadata = 0
        self.largest_batch = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ClipperContainer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        context = zmq.Context()
        sock = context.socket(zmq.DEALER)
        sock.linger = 0
        sock.connect(self._address)
        sock.send_multipart([b"", u32(2)])
        self.events.append("sent heartbeat")
        heartbeat_s = time.monotonic()
        while not self._stopping.is_set():
            if not sock.poll(50):
                if time.monotonic() - heartbeat_s > 0.5:
                    heartbeat_s = time.monotonic()
                    sock.send_multipart([b"", u32(2)])
                continue
            frames = sock.recv_multipart()
            assert frames[0] == b""
            assert struct.unpack("<I", frames[1]) == (3,)
            (message_type,) = struct.unpack("<I", frames[2])
            if message_type == 2:
                self.events.append("received heartbeat")
                if struct.unpack("<I", frames[3])[0] == 1:
                    self.asked_for_metadata += 1
                    sock.send_multipart(self._metadata)
                    self.events.append("sent metadata")
            else:
                assert message_type == 1
                self.events.append("received content")
                sock.send_multipart(self._answer(frames))
        sock.close()
        context.term()

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        message_id, request_type, header_size, header = frames[3:7]
        assert struct.unpack("<I", request_type) == (0,)
        assert struct.unpack("<Q", header_size) == (len(header),)
        input_type, count, *sizes = struct.unpack(f"<{len(header) // 8}Q", header)
        inputs = frames[7:]
        assert (input_type, count, sizes) == (self._input_type, len(inputs), [len(data) for data in inputs])
        self.largest_batch = max(self.largest_batch, count)
        outputs = self._predict(inputs)
        out_header = struct.pack(f"<{1 + len(outputs)}Q", len(outputs), *(len(output) for output in outputs))
        return [b"", u32(1), message_id, struct.pack("<Q", len(out_header)), out_header, *outputs]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, cache_size=0) as conn:
        yield conn


def _rpc_port(conn: ClipperConnection) -> int:
    return conn.cm.clipper_rpc_port


def _serve(conn: ClipperConnection, name: str, input_type: str, **options: int) -> None:
    conn.register_model(name, 1, input_type, **options)
    conn.register_application(name, input_type, "default", 5_000_000)
    conn.link_model_to_app(name, name)


def _wait_for_replicas(conn: ClipperConnection, name: str, count: int) -> None:
    eventually(
        lambda: sum(r.startswith(f"{name}:") for r in conn.get_all_model_replicas()) == count,
        within_s=20, what=f"{count} replicas of {name}",
    )  # fmt: skip


def _output(conn: ClipperConnection, name: str) -> object:
    """Return an output, or ``None`` while the frontend's port is closed, as it is in Docker while it restarts."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return query(conn, name, {"input": [1]})[1]["output"]
    return None


@pytest.mark.parametrize(
    ("input_type", "code", "value", "decode", "output"),
    [
        ("bytes", 0, "AAH/", lambda b: list(b), [0, 1, 255]),
        ("ints", 1, [1, -7], lambda b: np.frombuffer(b, "<i4").tolist(), [1, -7]),
        ("floats", 2, [0.5, 2], lambda b: np.frombuffer(b, "<f4").tolist(), [0.5, 2.0]),
        ("doubles", 3, [0.1, 2], lambda b: np.frombuffer(b, "<f8").tolist(), [0.1, 2.0]),
        ("strings", 4, "naïve", lambda b: '"' + b.decode() + '"', "naïve"),
    ],
)
def test_a_container_of_each_type_is_served(
    conn: ClipperConnection, input_type: str, code: int, value: object, decode: Callable, output: object
) -> None:
    name = f"type-{code}"
    _serve(conn, name, input_type)
    with ClipperContainer(
        _rpc_port(conn), name, "1", code, lambda xs: [str(decode(x)).encode() for x in xs]
    ) as container:
        _wait_for_replicas(conn, name, 1)
        assert query(conn, name, {"input": value})[1]["output"] == output
        replies = query(conn, name, {"input_batch": [value] * 5})[1]["batch_predictions"]
        assert [reply["output"] for reply in replies] == [output] * 5
    assert container.events[:4] == ["sent heartbeat", "received heartbeat", "sent metadata", "received heartbeat"] or (
        container.events[:4] == ["sent heartbeat", "received heartbeat", "sent metadata", "received content"]
    )
    _wait_for_replicas(conn, name, 0)  # its connection ended, which is noticed at once
    assert query(conn, name, {"input": value})[1]["default_reason"] == "no_ready_replica"


def test_fixed_batch_size_is_a_maximum_and_batches_never_overlap(conn: ClipperConnection) -> None:
    _serve(conn, "sized", "doubles", batch_size=4)
    under_way = threading.Lock()

    def predict(inputs: list[bytes]) -> list[bytes]:
        assert under_way.acquire(blocking=False)
        time.sleep(0.01)
        under_way.release()
        return [str(np.frombuffer(x)[0]).encode() for x in inputs]

    with ClipperContainer(_rpc_port(conn), "sized", "1", 3, predict) as container:
        _wait_for_replicas(conn, "sized", 1)
        replies = query(conn, "sized", {"input_batch": [[float(i)] for i in range(41)]})[1]["batch_predictions"]
    assert [reply["output"] for reply in replies] == [float(i) for i in range(41)]
    assert container.largest_batch == 4


def test_replicas_share_the_work(conn: ClipperConnection) -> None:
    _serve(conn, "shared", "doubles", batch_size=1)
    counts = {"a": 0, "b": 0}

    def predict_as(who: str) -> Callable[[list[bytes]], list[bytes]]:
        def predict(inputs: list[bytes]) -> list[bytes]:
            counts[who] += len(inputs)
            time.sleep(0.005)
            return [b"1" for _ in inputs]

        return predict

    port = _rpc_port(conn)
    with (
        ClipperContainer(port, "shared", "1", 3, predict_as("a")),
        ClipperContainer(port, "shared", "1", 3, predict_as("b")),
    ):
        _wait_for_replicas(conn, "shared", 2)
        query(conn, "shared", {"input_batch": [[float(i)] for i in range(100)]})
    assert counts["a"] + counts["b"] == 100
    assert min(counts.values()) > 20


def test_padded_type_and_wide_version_frames_are_accepted(conn: ClipperConnection) -> None:
    """C++ and R containers pad the type; JVM containers send the version in eight bytes."""
    _serve(conn, "padded", "doubles")
    with ClipperContainer(
        _rpc_port(conn), "padded", "1", 3, lambda xs: [b"1" for _ in xs],
        type_frame=b"3\0", version_frame=struct.pack("<Q", 3),
    ):  # fmt: skip
        _wait_for_replicas(conn, "padded", 1)
        assert query(conn, "padded", {"input": [1]})[1]["output"] == 1


def test_another_rpc_version_is_ignored_and_asked_again(conn: ClipperConnection) -> None:
    with ClipperContainer(_rpc_port(conn), "old", "1", 3, lambda xs: [], version_frame=u32(2)) as container:
        eventually(lambda: container.asked_for_metadata >= 2, within_s=20, what="asked again at the next heartbeat")
        assert not any(replica.startswith("old:") for replica in conn.get_all_model_replicas())


def test_container_of_another_input_type_gets_no_queries(conn: ClipperConnection) -> None:
    _serve(conn, "typed", "strings")
    asked: list[int] = []
    with ClipperContainer(_rpc_port(conn), "typed", "1", 3, lambda xs: [b"1" for _ in xs if not asked.append(1)]):
        time.sleep(0.3)
        assert query(conn, "typed", {"input": "x"})[1]["default_reason"] == "no_ready_replica"
    assert asked == []


@pytest.mark.parametrize("outputs", [[], [b"1", b"2"], [b"\xff\xfe"]])
def test_container_with_a_malformed_answer_stays_usable(conn: ClipperConnection, outputs: list[bytes]) -> None:
    name = f"nonsense-{len(outputs)}"
    _serve(conn, name, "doubles")
    answers = iter([outputs])
    with ClipperContainer(_rpc_port(conn), name, "1", 3, lambda xs: next(answers, [b"5" for _ in xs])):
        _wait_for_replicas(conn, name, 1)
        first = query(conn, name, {"input": [1]})[1]
        assert first.get("default_reason") == (None if len(outputs) == 1 else "model_error")
        assert query(conn, name, {"input": [2]})[1]["output"] == 5


def test_malformed_frames_never_hurt_the_frontend(conn: ClipperConnection) -> None:
    _serve(conn, "steady", "doubles")
    u64 = struct.Struct("<Q").pack
    new_container = [b"", u32(0), b"steady", b"1", b"3", u32(3)]
    malformed = [
        [b""], [b"", b""], [b"", b"\1"], [b"x", u32(2)], [u32(2)], [b"", u32(77)], [b"", u32(2**32 - 1)],
        new_container[:3], [*new_container[:4], b"9", u32(3)], [*new_container[:4], b"\xff", u32(3)],
        [b"", u32(0), b"\xff\xfe", b"1", b"3", u32(3)], [b"", u32(0), b"BAD NAME", b"1", b"3", u32(3)],
        [b"", u32(0), b"steady", b"", b"3", u32(3)], [*new_container[:5], b"\3"],
        [b"", u32(1)], [b"", u32(1), u32(0)], [b"", u32(1), u32(0), u64(8), u64(0)],
        [b"", u32(1), u32(0), u64(16), struct.pack("<QQ", 1, 5), b"abc"],
        [b"", u32(1), u32(0), u64(8), u64(2**63)], [b"", u32(1), u32(0), u64(2**63), u64(1)],
        [b"", u32(3), u32(0)], [b"", u32(3), u32(0), b"E", b"m", b"\xff"], [b"", u32(4)], [b"", u32(4), b"x"],
    ]  # fmt: skip
    context = zmq.Context()
    with ClipperContainer(_rpc_port(conn), "steady", "1", 3, lambda xs: [b"5" for _ in xs]):
        _wait_for_replicas(conn, "steady", 1)
        for registered in (False, True):
            sock = context.socket(zmq.DEALER)
            sock.linger = 1000
            sock.connect(f"tcp://127.0.0.1:{_rpc_port(conn)}")
            if registered:
                sock.send_multipart([b"", u32(0), b"other-model", b"1", b"3", u32(3)])
            for frames in malformed:
                sock.send_multipart(frames)
            sock.send_multipart([os.urandom(50) for _ in range(200)])
            assert query(conn, "steady", {"input": [1]})[1]["output"] == 5
            sock.close()
        assert query(conn, "steady", {"input": [2]})[1]["output"] == 5
    context.term()


def test_a_container_registers_again_with_a_restarted_frontend(conn: ClipperConnection) -> None:
    _serve(conn, "back", "doubles")
    with ClipperContainer(_rpc_port(conn), "back", "1", 3, lambda xs: [b"5" for _ in xs]) as container:
        _wait_for_replicas(conn, "back", 1)
        kill(conn, "query_frontend")
        eventually(lambda: _output(conn, "back") == 5, within_s=20, what="served again")
        # Once for every heartbeat that waited in its socket until the frontend was back.
        assert container.asked_for_metadata >= 2
        _wait_for_replicas(conn, "back", 1)  # the frontend serves before it has told what it serves
        assert sum(replica.startswith("back:") for replica in conn.get_all_model_replicas()) == 1
