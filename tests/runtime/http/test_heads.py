"""Heads of requests as values."""

from __future__ import annotations

import pytest

from clipper_nb.runtime.http.endpoint import InferHead
from clipper_nb.runtime.http.heads import KnownHeads, head_without_upgrade, infer_head, path_and_query, predict_name


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/app/predict", "app"),
        (b"/app/predict/", "app"),
        (b"/app/predict?a=/b/predict", "app"),
        (b"/a%2Fb/predict", "a/b"),
        (b"/%E2%82%AC/predict", "€"),
        (b"/%ff/predict", "\ufffd"),
        (b"/a/predict" + b"?" + b"x" * 500, "a"),
        (b"http://host:1/app/predict", "app"),
        (b"HTTP://user@[::1]/app/predict/?a", "app"),
        (b"//app/predict", None),
        (b"/a/b/predict", None),
        (b"/predict", None),
        (b"/app/predict/x", None),
        (b"/app/predict#x", None),
        (b"http://host?/app/predict", None),
        (b"ftp://host/app/predict", None),
        (b"*", None),
        (b"", None),
    ],
)
def test_a_target_names_an_application_or_none(target: bytes, name: str | None) -> None:
    assert predict_name(target) == predict_name(target) == name


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b", b"/a?b"),
        (b"//host/a", b"//host/a"),
        (b"http://host/a?b", b"/a?b"),
        (b"https://host", b"/"),
        (b"http://host?a", b"/?a"),
        (b"*", b"*"),
        (b"ftp://host/a", b"ftp://host/a"),
    ],
)
def test_the_address_of_a_server_is_dropped_from_a_target(target: bytes, path: bytes) -> None:
    assert path_and_query(target) == path


def test_only_the_upgrade_offer_is_dropped_from_a_head() -> None:
    headers = [(b"Host", b"x"), (b"connection", b"close, Upgrade, HTTP2-Settings"), (b"UPGRADE", b"h2c"), (b"A", b"b")]
    head = head_without_upgrade(b"GET", b"/a", "1.0", headers)
    assert head == b"GET /a HTTP/1.0\r\nHost: x\r\nconnection: close\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "head"),
    [
        (b"/v2/models/app/infer", ("app", None)),
        (b"/v2/models/app/versions/1.0/infer/", ("app", "1.0")),
        (b"/v2/models/m%20x/versions/%C3%A9/infer?a=b", ("m x", "\u00e9")),
        (b"http://host:1/v2/models/app/infer", ("app", None)),
        (b"/v2/models//infer", None),
        (b"/v2/models/app/versions/infer", None),
        (b"/v2/models/a/b/infer", None),
        (b"/v2/models/app", None),
        (b"/v2/models/app/infer/x", None),
        (b"/app/predict", None),
    ],
)
def test_a_target_names_a_model_to_infer_or_none(target: bytes, head: tuple[str, str | None] | None) -> None:
    assert infer_head(target, []) == (None if head is None else InferHead(*head, None, None))


def test_head_of_an_infer_request_has_its_sizes() -> None:
    headers = [(b"Content-Length", b"9"), (b"inference-HEADER-content-length", b"5"), (b"Content-Encoding", b"gzip")]
    assert infer_head(b"/v2/models/a/infer", headers) == InferHead("a", None, b"5", b"gzip")


def test_two_sizes_of_a_head_are_none() -> None:
    """Another server may take the other one."""
    headers = [(b"Inference-Header-Content-Length", b"5"), (b"Inference-Header-Content-Length", b"5")]
    head = infer_head(b"/v2/models/a/infer", headers)
    assert head is not None
    assert head.json_size == b"5,5"


def test_known_heads_of_predict_and_infer_are_apart() -> None:
    known = KnownHeads()
    whole = b"POST /x HTTP/1.1\r\nHost: x\r\n\r\nbody"
    head = InferHead("a", None, None, None)
    known.remember_infer(whole, head, 4)
    known.remember_infer(b"GET / HTTP/1.1\r\n\r\n\r\n\r\n", head, 0)  # the body is not where it seems to be
    assert known.find_infer(whole[:-4]) == (head, 4)
    assert known.find(whole[:-4]) is None
    known.remember(whole, "b", 4)
    assert known.find(whole[:-4]) == ("b", 4)
