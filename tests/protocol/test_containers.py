"""Commands and replies of the supervisor: the lines that release 0.1 wrote too."""

from __future__ import annotations

import json

import pytest
from msgspec import UNSET

from clipper_nb.protocol.containers import (
    REDIS,
    REPLICA,
    Command,
    ContainerSpec,
    Observe,
    ObservedContainer,
    Reply,
    ShutDown,
    Start,
    Stop,
    decode_command,
    decode_reply,
    encode_command,
    encode_reply,
)
from clipper_nb.protocol.resource_limits import ResourceLimits

SPEC = ContainerSpec(
    "m_1-0a", REPLICA, ("/usr/bin/python3", "-m", "m"), {"CLIPPER_MODEL_NAME": "m"}, working_folder="/c/images/m/1",
    sockets={"CLIPPER_HTTP_SOCKET": "query"}, secret_files={"CLIPPER_REPLICA_SECRET_FILE": "s"}, model="m:1",
    image="m:1-0a", stop_timeout_s=10.0, limits=ResourceLimits(memory="512m"),
)  # fmt: skip
SPEC_TEXT = (
    '{"name": "m_1-0a", "role": "replica", "command": ["/usr/bin/python3", "-m", "m"], '
    '"environment": {"CLIPPER_MODEL_NAME": "m"}, "working_folder": "/c/images/m/1", '
    '"sockets": {"CLIPPER_HTTP_SOCKET": "query"}, "secret_files": {"CLIPPER_REPLICA_SECRET_FILE": "s"}, '
    '"model": "m:1", "image": "m:1-0a", "stop_timeout_s": 10.0, '
    '"limits": {"memory": 536870912, "cpus": null, "processes": null}}'
)
OBSERVED = ObservedContainer("redis-0", REDIS, None, is_running=True, num_exits=1, exit_status=-9, pid=7)
OBSERVED_TEXT = (
    '{"name": "redis-0", "role": "redis", "model": null, "is_running": true, "num_exits": 1, "exit_status": -9, '
    '"pid": 7, "was_out_of_memory": false, "image": null}'
)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Start((SPEC,)), f'{{"command": "start", "specs": [{SPEC_TEXT}]}}'),
        (Stop(("m_1-0a",)), '{"command": "stop", "names": ["m_1-0a"]}'),
        (Observe(), '{"command": "observe"}'),
        (ShutDown(graceful=False), '{"command": "shut_down", "graceful": false, "keep": false}'),
    ],
)
def test_command_is_one_line_and_comes_back(command: Command, text: str) -> None:
    assert encode_command(command) == text.encode() + b"\n"
    assert decode_command(text.encode()) == command


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(), '{"result": null}'),
        (Reply((OBSERVED,)), f'{{"result": [{OBSERVED_TEXT}]}}'),
        (Reply(error="OSError: no"), '{"error": "OSError: no"}'),
    ],
)
def test_reply_is_one_line_and_comes_back(reply: Reply, text: str) -> None:
    assert encode_reply(reply) == text.encode() + b"\n"
    assert decode_reply(text.encode()) == reply
    assert (reply.error is UNSET) is ("error" not in json.loads(text))


def test_unknown_fields_of_another_release_are_ignored() -> None:
    observed = {**json.loads(OBSERVED_TEXT), "of_a_later_release": 1}
    assert decode_reply(json.dumps({"result": [observed]}).encode()) == Reply((OBSERVED,))
    spec = {**json.loads(SPEC_TEXT), "of_a_later_release": 1}
    assert decode_command(json.dumps({"command": "start", "specs": [spec]}).encode()) == Start((SPEC,))


def test_path_that_is_not_utf_8_passes() -> None:
    command = Start((ContainerSpec("r", REDIS, (b"/tmp/\xff".decode(errors="surrogateescape"),)),))
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"command": "reboot"}', b'{"command": "stop"}'])
def test_malformed_command_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_command(line)


@pytest.mark.parametrize("line", [b"", b"[]", b'{"result": 3}', b'{"result": [{"name": "r"}]}', b'{"error": null}'])
def test_malformed_reply_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_reply(line)
