"""Heads of requests: what a target asks for, and a head without its offer to change the protocol. (pure)"""

from __future__ import annotations

import functools
import re
from urllib.parse import unquote

# The path alone, or with the server's address before it, as one asks a proxy; RFC 9112 wants both understood.
_PREDICT_TARGET = re.compile(rb"(?:(?i:https?)://[^/?#]*)?/([^/?]+)/predict/?(?:\?.*)?\Z", re.DOTALL)
_ADDRESS = re.compile(rb"(?i:https?)://[^/?#]*")
_MAX_REMEMBERED_SIZE_BYTES = 256
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


def _parse_predict_target(target: bytes) -> str | None:
    predict = _PREDICT_TARGET.match(target)
    return unquote(predict[1].decode("latin-1")) if predict is not None else None


_remember_predict_target = functools.lru_cache(maxsize=1024)(_parse_predict_target)


def predict_name(target: bytes) -> str | None:
    """Return the application that *target* asks for a prediction, or ``None`` when it asks for something else."""
    if len(target) <= _MAX_REMEMBERED_SIZE_BYTES:
        return _remember_predict_target(target)
    return _parse_predict_target(target)  # nobody may fill the memory with long ones


def path_and_query(target: bytes) -> bytes:
    """Return *target* without the address of a server."""
    if target.startswith(b"/"):
        return target
    rest = _ADDRESS.sub(b"", target, count=1)
    return rest if rest.startswith(b"/") or rest == target else b"/" + rest


def head_without_upgrade(method: bytes, target: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a request's head as if it had not offered another protocol."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode("ascii"))]
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"connection":
            kept = [
                option for option in value.split(b",") if option.strip().lower() not in (b"upgrade", *_UPGRADE_HEADERS)
            ]
            value = b",".join(kept)
        if lowered not in _UPGRADE_HEADERS:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
