"""Heads of requests: parses targets, finds heads seen before, removes the offer of another protocol. (pure)"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import unquote

from clipper_nb.protocol.names import RESERVED_APPLICATION_NAMES
from clipper_nb.runtime.http.endpoint import InferHead

# The path alone, or with the server's address before it, as for a proxy; RFC 9112 requires support for both.
_PREDICT_TARGET = re.compile(rb"(?:(?i:https?)://[^/?#]*)?/([^/?]+)/predict/?(?:\?.*)?\Z", re.DOTALL)
_INFER_TARGET = re.compile(
    rb"(?:(?i:https?)://[^/?#]*)?/v2/models/([^/?]+)(?:/versions/([^/?]+))?/infer/?(?:\?.*)?\Z", re.DOTALL
)
_MODEL_TARGET = re.compile(
    rb"(?:(?i:https?)://[^/?#]*)?/v2/models/[^/?]+(?:/versions/[^/?]+)?(?:/ready)?/?(?:\?.*)?\Z", re.DOTALL
)
_APPLICATION_TARGET = re.compile(rb"(?:(?i:https?)://[^/?#]*)?/([^/?]+)(?:\?.*)?\Z", re.DOTALL)
_UPDATE_TARGET = re.compile(rb"(?:(?i:https?)://[^/?#]*)?/[^/?]+/update/?(?:\?.*)?\Z", re.DOTALL)
_ADDRESS = re.compile(rb"(?i:https?)://[^/?#]*")
_HeadT = TypeVar("_HeadT")
_MAX_REMEMBERED_SIZE_BYTES = 256
_MAX_KNOWN_HEADS = 1024
_MAX_KNOWN_HEAD_SIZE_BYTES = 2048
_UPGRADE_HEADERS = frozenset({b"upgrade", b"http2-settings"})


def _parse_predict_target(target: bytes) -> str | None:
    predict = _PREDICT_TARGET.match(target)
    return unquote(predict[1].decode("latin-1")) if predict is not None else None


_remember_predict_target = functools.lru_cache(maxsize=1024)(_parse_predict_target)


def predict_name(target: bytes) -> str | None:
    """Return the application whose predict path *target* is; ``None`` for any other path."""
    if len(target) <= _MAX_REMEMBERED_SIZE_BYTES:
        return _remember_predict_target(target)
    return _parse_predict_target(target)  # long ones must not fill the cache


def infer_head(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> InferHead | None:
    """Return what the head of an infer request says; ``None`` if *target* is any other path."""
    found = _INFER_TARGET.match(target)
    if found is None:
        return None
    application_name, version = (None if part is None else unquote(part.decode("latin-1")) for part in found.groups())
    assert application_name is not None
    json_size = content_encoding = None
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"inference-header-content-length":
            # Several would be read differently by a proxy; together they are no number, which is rejected.
            json_size = value if json_size is None else json_size + b"," + value
        elif lowered == b"content-encoding":
            content_encoding = value
    return InferHead(application_name, version, json_size, content_encoding)


def is_model_target(target: bytes) -> bool:
    """Return whether *target* is the path of a model's metadata, or of whether it is ready."""
    return _MODEL_TARGET.match(target) is not None


def is_update_target(target: bytes) -> bool:
    """Return whether *target* is the path of an application's feedback."""
    return _UPDATE_TARGET.match(target) is not None


def is_application_target(target: bytes) -> bool:
    """Return whether *target* is the path of an application itself, as no route of a frontend is."""
    found = _APPLICATION_TARGET.match(target)
    return found is not None and found[1].decode("latin-1").lower() not in RESERVED_APPLICATION_NAMES


class KnownHeads:
    """Heads of predict and infer requests as they were received, with the announced size of the body.

    A client sends the same head repeatedly, and equal bytes need no second parsing.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, tuple[str, int]] = {}
        self.find = self._heads.get
        """Returns the application and the body's size for a head with its empty line, or ``None``."""
        self._infer_heads: dict[bytes, tuple[InferHead, int]] = {}
        self.find_infer = self._infer_heads.get
        """The same for infer requests, with what their heads say."""

    def remember(self, whole: bytes, application_name: str, body_size_bytes: int) -> None:
        """Remember the head of a predict request if *whole* is exactly that request; ignore anything else."""
        _remember(self._heads, whole, application_name, body_size_bytes)

    def remember_infer(self, whole: bytes, head: InferHead, body_size_bytes: int) -> None:
        """Remember the head of an infer request likewise."""
        _remember(self._infer_heads, whole, head, body_size_bytes)


def _remember(heads: dict[bytes, tuple[_HeadT, int]], whole: bytes, head: _HeadT, body_size_bytes: int) -> None:
    head_size_bytes = len(whole) - body_size_bytes
    if not 0 < head_size_bytes <= _MAX_KNOWN_HEAD_SIZE_BYTES or whole.find(b"\r\n\r\n") + 4 != head_size_bytes:
        return
    if len(heads) >= _MAX_KNOWN_HEADS:
        heads.clear()
    heads[whole[:head_size_bytes]] = (head, body_size_bytes)


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
