"""What a client is made with: the address of a query frontend, a token, an authority. (pure)"""

from __future__ import annotations

import os
import re
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from clipper_nb.clients.trust import Trust
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.user_paths import user_path

Authority: TypeAlias = "str | os.PathLike[str] | Trust | None"
"""A certificate in PEM, the path of a file with one, or what a connection knows a frontend by."""

_BEGIN = "-----BEGIN CERTIFICATE-----"
_PREDICT_PATH = re.compile(r"/[^/]+/predict/?\Z")
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)


def frontend_root(url: object, *, has_authority: bool = False) -> str:
    """Return the URL below which a query frontend has its paths.

    Parameters
    ----------
    url : str
        ``http://host:port`` or ``https://host:port``, behind a proxy with a path; the same with
        ``/<application>/predict``; or ``host:port``.
    has_authority : bool
        Whether the frontend is known by an authority, so that it must speak HTTPS.

    Raises
    ------
    InvalidRequestError
        It is none of these.
    """
    text = url.strip() if isinstance(url, str) else ""
    if "://" not in text:
        text = f"{'https' if has_authority else 'http'}://{text}"
    parts = _split(text)
    if parts is None:
        raise InvalidRequestError(
            "url must be the address of a query frontend, such as 'http://127.0.0.1:1337', or that of an application, "
            f"'http://127.0.0.1:1337/digits/predict'; it is {url!r}. conn.get_query_url() returns it."
        )
    if has_authority and parts.scheme == "http":
        raise InvalidRequestError(f"ca is for https, and the address is {url!r}. Use https://, or leave out ca.")
    path = _PREDICT_PATH.sub("", parts.path).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def _split(text: str) -> SplitResult | None:
    """Return the parts of an address of HTTP; ``None`` if it is none."""
    try:
        parts = urlsplit(text)
        (parts.hostname or "").encode("idna")  # raises for a name that no host has
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    is_plain = parts.username is None and _VISIBLE.fullmatch(text) is not None
    return parts if has_host and is_plain and parts.scheme in ("http", "https") else None


def checked_token(token: object) -> str | None:
    """Return the token if it can be sent in a header; raises ``InvalidRequestError``, which does not repeat it."""
    if token is None or (isinstance(token, str) and _VISIBLE.fullmatch(token)):
        return token
    raise InvalidRequestError(
        "token must be a text without spaces or line breaks, as conn.query_token and conn.create_token() return it, or "
        "None for a cluster that asks for none."
    )


def read_trust(ca: Authority) -> Trust | None:
    """Return how a frontend must prove itself; ``None`` leaves that to the authorities that the system trusts.

    Raises
    ------
    InvalidRequestError
        There is no such file, or no certificate in it.
    """
    if ca is None or isinstance(ca, Trust):
        return ca
    text = ca if isinstance(ca, str) and _BEGIN in ca else _read(ca)
    if _BEGIN not in text:
        raise InvalidRequestError(
            f"ca has no certificate in PEM, which begins with {_BEGIN}. conn.get_tls_authority() returns one."
        )
    return Trust(authority=text)


def _read(path: object) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidRequestError(f"ca must be a certificate in PEM or the path of one, not {type(path).__name__}.")
    try:
        return user_path("ca", path).read_text(encoding="ascii", errors="replace")
    except OSError as exc:
        raise InvalidRequestError(f"ca cannot be read from {str(path)[:200]!r}: {exc}.") from exc
