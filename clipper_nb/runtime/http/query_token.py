"""The token of a cluster, as requests carry it: in a header, in the target, or in a cookie of a browser. (pure)

Texts are compared in constant time. The cookie does not have the token itself: browsers send cookies to every port of a
host, whoever listens there. It is good for reading only, so no page can predict with it.
"""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

_PARAMETER = "token"


class QueryToken:
    """A cluster's token.

    Parameters
    ----------
    token : str
    is_https : bool
        Whether browsers may send the cookie over HTTPS alone.
    """

    def __init__(self, token: str, *, is_https: bool = False) -> None:
        self._token = token.encode()
        self._secure = "; Secure" if is_https else ""
        self._cookie_value = hmac.digest(self._token, b"cookie of a browser", "sha256").hex()
        # Each cluster has a cookie of its own, since those of one host are sent to all its ports.
        self._cookie_name = f"clipper-{hashlib.sha256(self._token).hexdigest()[:12]}"

    @property
    def cookie_line(self) -> bytes:
        """The header line of a reply that gives a browser its cookie.

        It has no path: the browser then sends it below the folder of the page that it asked for, which behind a proxy
        the frontend does not know.
        """
        line = f"Set-Cookie: {self._cookie_name}={self._cookie_value}; HttpOnly; SameSite=Strict{self._secure}\r\n"
        return line.encode()

    def matches(self, given: str | None) -> bool:
        """Return whether a request's token is the cluster's."""
        return given is not None and hmac.compare_digest(given.encode(), self._token)

    def is_in_cookies(self, cookies: str | None) -> bool:
        """Return whether a ``Cookie`` header has the cookie of this cluster."""
        if not cookies or self._cookie_name not in cookies:
            return False
        try:
            found = SimpleCookie(cookies).get(self._cookie_name)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self._cookie_value.encode())


NO_TOKEN = QueryToken("")
"""Of a cluster that asks for none; it is never compared with anything."""


def bearer_token(authorization: str | None) -> str | None:
    """Return the token in an ``Authorization`` header, or ``None``."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def token_in_query(query: bytes) -> str | None:
    """Return the token in the query part of a target, ``token=…``, or ``None``."""
    if b"token=" not in query:
        return None
    return next((value for name, value in parse_qsl(query.decode("latin-1")) if name == _PARAMETER), None)


def without_token(query: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a target besides the token."""
    return [(name, value) for name, value in parse_qsl(query.decode("latin-1")) if name != _PARAMETER]
