"""Chooses what the frontends of a cluster that starts prove themselves with, and says when that expires."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from clipper_nb.clients.trust import Trust
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.container_managers.tls.authority import domain_name, renew_identity
from clipper_nb.container_managers.tls.files import TlsFiles, read_tls_files
from clipper_nb.container_managers.tls.package import require_cryptography
from clipper_nb.display.diagnosis import Finding
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.tls_identity import TlsIdentity
from clipper_nb.protocol.user_paths import user_path

logger = logging.getLogger(__name__)

_LOCAL = ("localhost", "127.0.0.1", "::1")
_WARNED_BEFORE = timedelta(days=30)


def tls_options(tls: object) -> dict[str, Any]:
    """Return the options that ``start_clipper(tls=...)`` stands for; none for ``None``.

    Raises
    ------
    InvalidRequestError
        It is something else.
    """
    if tls is None:
        return {}
    if isinstance(tls, bool):
        return {"tls": tls, "tls_files": ()}
    if not isinstance(tls, TlsFiles):
        raise InvalidRequestError(
            f"tls must be True, False, None or TlsFiles(certificate, key); it is {tls!r}. "
            "With True the cluster makes a certificate itself."
        )
    return {"tls": True, "tls_files": (_absolute("certificate", tls.certificate), _absolute("key", tls.key))}


def _absolute(what: str, path: object) -> str:
    return str(user_path(f"The {what} of TlsFiles", path).absolute())


def choose_identity(
    cluster_name: str,
    options: ClusterOptions,
    known_hosts: Iterable[str] = (),
    kept: TlsIdentity | None = None,
    now: datetime | None = None,
) -> TlsIdentity | None:
    """Return the identity of a cluster that starts; ``None`` if it speaks HTTP.

    *known_hosts* are the names and addresses that the container manager gives the frontends, *kept* is the identity
    that a resumed cluster had, whose authority clients know.

    Raises
    ------
    InvalidRequestError
        The user's files are not usable, or a package is missing.
    """
    if not options.tls:
        return None
    require_cryptography()
    now = now or datetime.now(timezone.utc)
    if options.tls_files:
        certificate_path, key_path = map(Path, options.tls_files)
        return read_tls_files(certificate_path, key_path, now)
    hosts = (*_LOCAL, *_usable([*_names_of_machine(), *known_hosts]), *options.allowed_hosts)
    identity = renew_identity(cluster_name, hosts, kept, now)
    if kept is not None and kept.authority and identity.authority != kept.authority:
        logger.warning(
            "The authority of cluster '%s' was about to expire and is a new one: give clients on other machines "
            "conn.get_tls_authority() again.", cluster_name,
        )  # fmt: skip
    return identity


def _names_of_machine() -> list[str]:
    """Return this machine's name, without and with its domain as far as it is configured here."""
    name = socket.gethostname().rstrip(".")
    return [name, name.partition(".")[0]]


def _usable(hosts: Iterable[str]) -> Iterator[str]:
    """Yield those hosts that a certificate can have; the name of a container may be longer than names can be."""
    for host in hosts:
        try:
            if domain_name(host):
                yield host
        except ValueError:
            logger.debug("the certificate goes without the name %r", host)


def trust_in(identity: TlsIdentity | None) -> Trust | None:
    """Return how clients know frontends with that identity."""
    if identity is None:
        return None
    if identity.authority:
        return Trust(authority=identity.authority)
    return Trust.in_certificate(identity.certificates)


def expiry_finding(identity: TlsIdentity, now: datetime | None = None) -> Finding:
    """Return what the doctor says of the certificate."""
    now = now or datetime.now(timezone.utc)
    day = f"{identity.expiry:%Y-%m-%d}"
    advice = (
        "stop_all(keep=True) and then start_clipper() renew it; clients keep the authority that they have."
        if identity.authority
        else "Renew the files; stop_all(keep=True) and then start_clipper() read them again."
    )
    if now >= identity.expiry:
        return Finding("TLS", "problem", f"The frontends' certificate expired on {day}: clients reject it.", advice)
    if now >= identity.expiry - _WARNED_BEFORE:
        return Finding("TLS", "warning", f"The frontends' certificate expires on {day}.", advice)
    return Finding("TLS", "ok", f"The frontends' certificate is good until {day}.")
