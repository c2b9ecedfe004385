"""Certificates as users have them: made by another authority than a cluster's, in files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.now(timezone.utc).replace(microsecond=0)
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip
"""With what names keys, Python 3.13 wants it of every authority."""


@dataclass(frozen=True)
class Files:
    """A certificate, its key, and the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path


def write_files(
    folder: Path,
    *,
    host: str = "models.example.org",
    begin: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=365),
    key: Any = None,
) -> Files:
    """Write a certificate for *host*, which is good from *begin* to *end*."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), key or ec.generate_private_key(ec.SECP256R1())
    issuer, subject = _name("An authority of a company"), _name(host)
    authority = (
        _begin(issuer, issuer, authority_key, begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        _begin(subject, issuer, key, begin, end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    files = Files(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    pem = serialization.Encoding.PEM
    files.certificate.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
    files.authority.write_bytes(authority.public_bytes(pem))
    write_key(files.key, key)
    return files


def write_key(path: Path, key: Any, *, password: bytes | None = None) -> None:
    """Write a private key, encrypted if there is a password."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common_name)])


def _begin(subject: x509.Name, issuer: x509.Name, key: Any, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
