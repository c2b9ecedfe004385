"""A cluster's own certificate authority, and the certificates that it signs for the cluster's frontends. (pure)

Keys are on the curve P-256, which every client knows, and with which a handshake costs the frontend a fraction of a
millisecond.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.tls_identity import TlsIdentity

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_VALIDITY = timedelta(days=3650)
CERTIFICATE_VALIDITY = timedelta(days=730)
"""Some systems accept no certificate that is good for more than 825 days."""
_RENEWED_BEFORE = timedelta(days=90)
"""An authority that ends sooner than this is replaced at the next start."""
_CLOCK_SKEW = timedelta(days=1)
"""How much earlier than now validity begins: other machines' clocks may be late."""
_LONGEST_COMMON_NAME = 64
_EVERY = "*"


def make_authority(cluster_name: str, now: datetime) -> tuple[str, str]:
    """Return the certificate and the key of a new authority, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # Distinguishes authorities of clusters with the same name, in a client that knows several.
    name = _subject(f"clipper_nb authority {secrets.token_hex(8)} of {cluster_name}")
    certificate = (
        _begin(name, name, key, now, AUTHORITY_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _certificate_pem(certificate), _key_pem(key)


def renew_identity(cluster_name: str, hosts: Iterable[str], kept: TlsIdentity | None, now: datetime) -> TlsIdentity:
    """Return a new certificate for *hosts*, names and addresses, signed by the authority of *kept*.

    Without that, or if it ends soon, the authority is a new one too.

    Raises
    ------
    InvalidRequestError
        A host cannot be written into a certificate.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if kept is None or not kept.authority or is_ending(kept.authority, now):
        authority, authority_key = make_authority(cluster_name, now)
    else:
        authority, authority_key = kept.authority, kept.authority_key
    issuer = x509.load_pem_x509_certificate(authority.encode())
    issuer_key = serialization.load_pem_private_key(authority_key.encode(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    validity = min(CERTIFICATE_VALIDITY, issuer.not_valid_after_utc - now)
    names = [_general_name(host) for host in dict.fromkeys(hosts) if host != _EVERY]
    certificate = (
        _begin(_subject(f"clipper_nb cluster {cluster_name}"), issuer.subject, key, now, validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return TlsIdentity(
        certificates=_certificate_pem(certificate),
        key=_key_pem(key),
        expires_at=certificate.not_valid_after_utc.isoformat(),
        authority=authority,
        authority_key=authority_key,
    )


def is_ending(authority: str, now: datetime) -> bool:
    """Return whether an authority, in PEM, is too old to sign more certificates."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(authority.encode()).not_valid_after_utc < now + _RENEWED_BEFORE


def _begin(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, validity: timedelta
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + validity)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(common_name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common_name[:_LONGEST_COMMON_NAME])])


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(domain_name(host))
    except ValueError as exc:
        raise InvalidRequestError(
            f"The host {host!r} cannot be written into a certificate: {exc}. Allow another name, or start the cluster "
            "with a certificate of your own: start_clipper(tls=TlsFiles(...))."
        ) from exc


def domain_name(host: str) -> str:
    """Return a name as certificates have it, in ASCII; raises ``ValueError`` for what cannot be one."""
    prefix, name = ("*.", host[2:]) if host.startswith("*.") else ("", host)
    return prefix + name.lower().encode("idna").decode()


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _certificate_pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
