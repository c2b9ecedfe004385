"""What the frontends of one cluster prove themselves with over TLS, as it is kept with the cluster. (pure)"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class TlsIdentity:
    """The certificate of both frontends, and the authority that signed it if it is the cluster's own."""

    certificates: str
    """PEM: the frontends' certificate, and after it those that lead to its authority."""
    key: str = field(repr=False)
    """PEM, not encrypted."""
    expires_at: str
    """When the certificate is no longer good: ISO 8601 with zone."""
    authority: str = ""
    """PEM of the cluster's own authority; empty if the certificate is the user's."""
    authority_key: str = field(default="", repr=False)

    @property
    def served(self) -> str:
        """PEM of what a frontend needs to serve TLS."""
        return self.key + self.certificates

    @property
    def expiry(self) -> datetime:
        """When the certificate is no longer good."""
        return datetime.fromisoformat(self.expires_at)


def encode_identity(identity: TlsIdentity) -> str:
    """Return the identity as JSON text."""
    return json.dumps(asdict(identity))


def decode_identity(text: str) -> TlsIdentity:
    """Return the identity in JSON text."""
    return parse_identity(json.loads(text))


def parse_identity(found: Any) -> TlsIdentity:
    """Return the identity in parsed JSON; raises ``TypeError`` for anything else.

    Fields that a newer release added are ignored.
    """
    if not isinstance(found, dict):
        raise TypeError(f"an identity is a JSON object, not {type(found).__name__}")
    known = {each.name for each in fields(TlsIdentity)}
    return TlsIdentity(**{name: value for name, value in found.items() if name in known})
