"""A cluster's own authority, and the certificates that it signs: what clients make of them."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from clipper_nb.container_managers.tls.authority import (
    AUTHORITY_VALIDITY,
    CERTIFICATE_VALIDITY,
    make_authority,
    renew_identity,
)
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.tls_identity import TlsIdentity
from clipper_nb.runtime.http.tls import make_context

NOW = datetime.now(timezone.utc).replace(microsecond=0)
HOSTS = ("localhost", "127.0.0.1", "::1", "models.example.org", "*.example.net")


def identity(hosts=HOSTS, kept: TlsIdentity | None = None, now=NOW) -> TlsIdentity:
    return renew_identity("digits", hosts, kept, now)


def leaf(found: TlsIdentity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(found.certificates.encode())


def shake_hands(found: TlsIdentity, authority: str, host: str) -> str:
    """Return the version of TLS that a strict client agrees on with the frontend, in memory."""
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    (to_server, to_client) = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=host)
    server = make_context(found.served).wrap_bio(to_server, to_client, server_side=True)
    ends, finished = [client, server], set()
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                finished.add(end)
            except ssl.SSLWantReadError:
                pass
    assert len(finished) == 2
    return str(client.version())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "models.example.org", "any.example.net"])
def test_strict_client_with_the_authority_trusts_each_host(host):
    found = identity()
    assert shake_hands(found, found.authority, host) == "TLSv1.3"


@pytest.mark.parametrize("host", ["example.org", "127.0.0.2", "a.b.example.net", "any"])
def test_other_host_is_refused_by_clients(host):
    found = identity()
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for|mismatch"):
        shake_hands(found, found.authority, host)


def test_another_authority_of_the_same_name_is_refused():
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(identity(), identity().authority, "localhost")


def test_renewal_keeps_the_authority_and_nothing_else():
    first = identity()
    second = identity(("localhost", "new.example.org"), first, NOW + timedelta(days=1))
    assert (second.authority, second.authority_key) == (first.authority, first.authority_key)
    assert second.key != first.key
    assert second.expiry == first.expiry + timedelta(days=1) == NOW + timedelta(days=1) + CERTIFICATE_VALIDITY
    assert shake_hands(second, first.authority, "new.example.org")


def test_authority_that_is_about_to_end_is_replaced():
    first = identity()
    late = NOW + AUTHORITY_VALIDITY - timedelta(days=91)
    assert identity(kept=first, now=late).authority == first.authority
    assert identity(kept=first, now=late + timedelta(days=2)).authority != first.authority


def test_certificate_does_not_outlive_its_authority():
    first = identity()
    late = NOW + AUTHORITY_VALIDITY - timedelta(days=91)
    assert identity(kept=first, now=late).expiry == NOW + AUTHORITY_VALIDITY


def test_certificate_of_the_user_is_no_authority_to_keep():
    users = TlsIdentity(certificates="C", key="K", expires_at=NOW.isoformat())
    assert identity(kept=users).authority


def test_certificate_is_good_where_a_clock_is_late():
    assert leaf(identity()).not_valid_before_utc <= NOW - timedelta(hours=12)


def test_hosts_are_written_once_and_every_host_is_none():
    names = leaf(identity(("localhost", "localhost", "*", "Bücher.example"))).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost", "xn--bcher-kva.example"]


def test_host_that_no_certificate_can_have_is_named():
    with pytest.raises(InvalidRequestError, match=r"The host 'a{64}\.org' cannot be written into a certificate"):
        identity(("a" * 64 + ".org",))


def test_cluster_with_the_longest_name_gets_a_certificate():
    authority, key = make_authority("c" * 128, NOW)
    assert "clipper_nb authority" in x509.load_pem_x509_certificate(authority.encode()).subject.rfc4514_string()
    assert serialization.load_pem_private_key(key.encode(), None)


def test_frontends_key_cannot_sign_certificates():
    constraints = leaf(identity()).extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = leaf(identity()).extensions.get_extension_for_class(x509.KeyUsage).value
    assert not constraints.ca
    assert not usage.key_cert_sign


def test_repr_shows_no_key():
    found = identity()
    assert "PRIVATE KEY" not in repr(found)
