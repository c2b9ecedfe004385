"""A certificate of the user's own: read and checked before anything starts."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.tls_identity import TlsIdentity

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


@dataclass(frozen=True)
class TlsFiles:
    """Files with a certificate of your own, for ``start_clipper(tls=...)``.

    They are read and checked at each start, also when a kept cluster is resumed. A certificate that was renewed
    meanwhile is served from the next start on.

    Parameters
    ----------
    certificate : path
        PEM: the frontends' certificate, and after it those that lead to its authority.
    key : path
        PEM: the certificate's private key, not encrypted.

    Examples
    --------
    >>> from clipper_nb import TlsFiles
    >>> files = TlsFiles("/etc/ssl/models.example.org.pem", "/etc/ssl/private/models.example.org.key")
    >>> conn.start_clipper(tls=files, allowed_hosts=["models.example.org"])
    """

    certificate: str | os.PathLike[str]
    key: str | os.PathLike[str]


def read_tls_files(certificate_path: Path, key_path: Path, now: datetime) -> TlsIdentity:
    """Return what is in the files.

    Raises
    ------
    InvalidRequestError
        A file cannot be read, is not what it should be, or the two do not belong together; or the certificate is not
        good now.
    """
    certificates = _read_certificates(certificate_path)
    key = _read_key(key_path)
    _check_validity(certificates[0], certificate_path, now)
    if certificates[0].public_key() != key.public_key():
        raise InvalidRequestError(
            f"The key in {key_path} is not that of the first certificate in {certificate_path}. The frontends' own "
            "certificate must come first, before those of its authority."
        )
    _check_with_openssl(certificate_path, key_path)
    from cryptography.hazmat.primitives import serialization

    pem = serialization.Encoding.PEM
    return TlsIdentity(
        certificates="".join(certificate.public_bytes(pem).decode() for certificate in certificates),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
        expires_at=certificates[0].not_valid_after_utc.isoformat(),
    )


def _read_certificates(path: Path) -> list[x509.Certificate]:
    from cryptography import x509

    content = _read(path, "certificate")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as exc:
        raise InvalidRequestError(
            f"The file {path} holds no certificate in PEM ('-----BEGIN CERTIFICATE-----'): {exc}. "
            "`openssl x509 -inform der -in FILE -out NEW` converts one in DER."
        ) from exc


def _read_key(path: Path) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    content = _read(path, "key")
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError as exc:  # what the library raises if a password is missing
        raise InvalidRequestError(
            f"The key in {path} is encrypted, and the frontends have no password for it. "
            "`openssl pkey -in FILE -out NEW` writes it without one; keep that file readable by you alone."
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        reason = str(exc).partition("\n")[0].rstrip(".")
        raise InvalidRequestError(
            f"The file {path} holds no private key in PEM ('-----BEGIN PRIVATE KEY-----'): {reason}."
        ) from exc


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InvalidRequestError(f"The {what} for TLS cannot be read from {path}: {exc.strerror}.") from exc


def _check_validity(certificate: x509.Certificate, path: Path, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= end:
        raise InvalidRequestError(f"The certificate in {path} expired on {end:%Y-%m-%d}. Renew it, and start again.")
    if now < begin:
        raise InvalidRequestError(
            f"The certificate in {path} is not good before {begin:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} "
            "here. Check this machine's clock."
        )


def _check_with_openssl(certificate_path: Path, key_path: Path) -> None:
    """Raise if the frontends could not serve it: OpenSSL refuses weak keys and kinds of keys that TLS does not have."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_path, key_path, password="")
    except (ssl.SSLError, OSError) as exc:
        raise InvalidRequestError(
            f"OpenSSL does not serve the certificate in {certificate_path} with the key in {key_path}: {exc}."
        ) from exc
