"""How clients of this package know that a frontend is the cluster's own over TLS, before they send it a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_END = "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Trust:
    """What a frontend's certificate must be: signed by *authority*, or else the one of *fingerprint*."""

    authority: str = ""
    """PEM of the cluster's own authority; its certificate must have the name that is asked for."""
    fingerprint: str = ""
    """SHA-256 of a certificate of the user's, in hexadecimal. It may be for other names than the notebook uses."""

    @classmethod
    def in_certificate(cls, certificates: str) -> Trust:
        """Return trust in exactly the first of the certificates in PEM."""
        import hashlib
        import ssl  # clients import this file whether they need TLS or not

        first = certificates[: certificates.index(_END) + len(_END)].strip()
        return cls(fingerprint=hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest())

    def pool_options(self) -> dict[str, Any]:
        """Return urllib3's arguments for a pool of connections that are made only to such a frontend."""
        if self.authority:
            return {"ca_cert_data": self.authority, "cert_reqs": "CERT_REQUIRED"}
        # The certificate itself is known, so who signed it, and for which name, tells nothing more.
        return {"assert_fingerprint": self.fingerprint, "cert_reqs": "CERT_NONE"}


def frontend_url(address: str, trust: Trust | None) -> str:
    """Return the URL of a frontend at ``host:port``; *trust* is ``None`` for one that speaks HTTP."""
    return f"{'http' if trust is None else 'https'}://{address}"
