"""Addresses, tokens and authorities that a client is made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb.client.address import checked_token, frontend_root, read_trust
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import InvalidRequestError

PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:1337", "http://h:1337"),
        ("https://h/", "https://h"),
        (" h:1337 ", "http://h:1337"),
        ("127.0.0.1:1337", "http://127.0.0.1:1337"),
        ("http://[::1]:1337", "http://[::1]:1337"),
        ("http://h:1/digits/predict", "http://h:1"),
        ("http://h:1/digits/predict/", "http://h:1"),
        ("https://h/clipper", "https://h/clipper"),
        ("https://h/clipper/digits/predict?a=b", "https://h/clipper"),
        ("http://h:1/predict", "http://h:1/predict"),
    ],
)
def test_address_of_a_frontend_or_an_application_is_its_root(url: str, root: str) -> None:
    assert frontend_root(url) == root


def test_address_without_scheme_is_https_with_an_authority() -> None:
    assert frontend_root("h:1", has_authority=True) == "https://h:1"
    with pytest.raises(InvalidRequestError, match="ca is for https"):
        frontend_root("http://h:1", has_authority=True)


@pytest.mark.parametrize(
    "url",
    [
        *(None, 5, "", "http://", "ftp://h", "http://h:99999", "http://h:x", "http://user@h", "http://é", "http://[h"),
        *("http://a b", "http://a\nb", "http://a..b", "http://" + "a" * 70),
    ],
)
def test_other_addresses_are_refused_with_an_example(url: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"such as 'http://127\.0\.0\.1:1337'"):
        frontend_root(url)


@pytest.mark.parametrize("token", ["", "secret\n", "se cret", "sécret", b"secret", 5])
def test_token_that_no_header_can_have_is_not_repeated(token: Any) -> None:
    with pytest.raises(InvalidRequestError, match="token must be a text without spaces") as caught:
        checked_token(token)
    assert "cret" not in str(caught.value)


def test_token_of_a_cluster_is_taken() -> None:
    assert checked_token("AZaz09._~+/-=") == "AZaz09._~+/-="
    assert checked_token(None) is None


def test_authority_is_text_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    path.write_text(PEM)
    assert read_trust(None) is None
    assert read_trust(PEM) == read_trust(path) == read_trust(str(path)) == Trust(authority=PEM)
    assert read_trust(Trust(fingerprint="00")) == Trust(fingerprint="00")


def test_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"\x30\x82 of the other form")
    for ca, words in [(path, "no certificate in PEM"), (tmp_path / "no", "No such file"), ("\0", "null"), (5, "int")]:
        with pytest.raises(InvalidRequestError, match=words):
            read_trust(ca)  # type: ignore[arg-type]
