"""The identity of frontends as it is kept with the cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clipper_nb.protocol.tls_identity import TlsIdentity, decode_identity, encode_identity, parse_identity

IDENTITY = TlsIdentity("CERT\n", "KEY\n", "2027-01-31T12:00:00+00:00", "AUTHORITY\n", "AUTHORITY KEY\n")


def test_identity_comes_back() -> None:
    assert decode_identity(encode_identity(IDENTITY)) == IDENTITY


def test_frontends_get_their_own_key_and_not_the_authority() -> None:
    assert IDENTITY.served == "KEY\nCERT\n"


def test_expiry_has_its_zone() -> None:
    assert IDENTITY.expiry.isoformat() == "2027-01-31T12:00:00+00:00"


def test_field_of_a_newer_release_is_ignored() -> None:
    assert parse_identity({**json.loads(encode_identity(IDENTITY)), "new": 1}) == IDENTITY


@pytest.mark.parametrize("found", [None, [], {}, "text", {"key": "K"}])
def test_what_is_no_identity_is_refused(found: Any) -> None:
    with pytest.raises(TypeError):
        parse_identity(found)


def test_repr_shows_no_key() -> None:
    assert "KEY\\n" not in repr(IDENTITY).replace("AUTHORITY\\n", "")
