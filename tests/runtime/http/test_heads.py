"""Heads of requests as values."""

from __future__ import annotations

import pytest

from clipper_nb.runtime.http.heads import head_without_upgrade, path_and_query, predict_name


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
