"""Tokens of applications: what is kept of them, and the key by which a request with one finds its application. (pure)

Only a digest is kept. A token has 256 random bits, so nobody finds it by trying, and SHA-256 is enough: a slow hash for
passwords protects texts that can be guessed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from clipper_nb.errors import InvalidRequestError

KEY_SEPARATOR = "\0"
"""Between the application's name and the digest; no name has one."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class ApplicationToken:
    """A token with which clients may query one application."""

    application_name: str
    name: str
    digest: str = field(repr=False)
    created_at: float
    """Seconds since the epoch."""
    expires_at: float | None = None
    """Seconds since the epoch; ``None`` for never."""

    @property
    def token_id(self) -> str:
        """Its key in the configuration."""
        return token_id(self.application_name, self.name)

    @property
    def key(self) -> str:
        """The key under which requests with it find the application."""
        return self.application_name + KEY_SEPARATOR + self.digest


def token_id(application_name: str, name: str) -> str:
    """Return the key of a token in the configuration; names have no colon."""
    return f"{application_name}:{name}"


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def check_digest(digest: str) -> str:
    """Return *digest* if it can be one; raises ``InvalidRequestError``, which does not repeat it."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidRequestError("digest must be the SHA-256 of the token: 64 lower case hexadecimal digits.")
    return digest
