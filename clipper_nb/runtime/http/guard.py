"""Decides by their heads which requests a frontend answers: with which token, under which name, from which page. (pure)

A page in a browser can send requests to this machine. Two things tell it from other clients: the name in ``Host``, when
the page made its own name lead here (DNS rebinding), and ``Origin``, when it asks another server than its own. Neither
matters for a request with the token, which no stranger knows.
Each head is checked once; a head that was admitted is later recognised by its bytes (``heads.py``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Union

from clipper_nb.protocol.application_tokens import KEY_SEPARATOR, digest_of
from clipper_nb.runtime.http.heads import (
    infer_head,
    is_application_target,
    is_model_target,
    is_update_target,
    path_and_query,
    predict_name,
)
from clipper_nb.runtime.http.login_page import LOGIN_PAGE, way_back
from clipper_nb.runtime.http.query_token import NO_TOKEN, QueryToken, bearer_token, token_in_query, without_token

Headers = Sequence[tuple[bytes, bytes]]

EVERY = "*"
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^][:@/\\\s]+)(?::[0-9]*)?", re.ASCII)
_ABSOLUTE_TARGET = re.compile(rb"(?i:https?)://([^/?#]*)")
_LONGEST_SHOWN = 100
_READING = (b"GET", b"HEAD")
_NEEDS_TOKEN = (
    "This cluster asks for a token. Send the header 'Authorization: Bearer <token>', or open this address in a browser "
    "with ?token=<token> once. In a notebook that is connected, conn.query_token has the token."
)
_PREFLIGHT = (
    b"Access-Control-Allow-Methods: GET, POST\r\n"
    b"Access-Control-Allow-Headers: Authorization, Content-Type, Inference-Header-Content-Length\r\n"
    b"Access-Control-Allow-Private-Network: true\r\n"
    b"Access-Control-Max-Age: 600\r\n"
)


@dataclass(frozen=True)
class Admitted:
    """A request that may be answered."""

    headers: bytes = b""
    """Lines that the reply's head has in addition."""
    credential: str = ""
    """What a token that is not the cluster's adds to the application's name, which is then its key."""


@dataclass(frozen=True)
class Rejected:
    """A request that is answered with an error, before its body is read."""

    status: HTTPStatus
    cause: str
    headers: bytes = b""
    """Lines that the reply's head has in addition."""


@dataclass(frozen=True)
class Answered:
    """A request that has its whole reply: a page of a browser that has no token yet, or brings one."""

    reply: bytes
    headers: bytes = b""


Verdict = Union[Admitted, Rejected, Answered]
_ADMITTED = Admitted()


@dataclass(frozen=True)
class AccessRules:
    """Who may ask one frontend."""

    allowed_hosts: tuple[str, ...] = ()
    """Names besides addresses and ``localhost``: ``name``, ``*.name`` for all names below it, or ``*``."""
    allow_origins: tuple[str, ...] = ()
    """Pages of other servers that may ask: ``https://name:port``, or ``*``."""
    query_token: str | None = field(default=None, repr=False)
    """The token that requests need; ``None`` for a cluster that asks for none."""
    is_https: bool = False
    """Browsers then send the cookie over HTTPS alone."""


def _is_livez(path: bytes) -> bool:
    return path in (b"/livez", b"/v2/health/live")


class Guard:
    """Checks heads of requests.

    Parameters
    ----------
    rules : AccessRules
    is_open : callable
        Returns whether a path is answered without a token.
    """

    def __init__(self, rules: AccessRules, is_open: Callable[[bytes], bool] = _is_livez) -> None:
        self._is_open = is_open
        self._token = NO_TOKEN if rules.query_token is None else QueryToken(rules.query_token, is_https=rules.is_https)
        self._hosts = frozenset(host.lower() for host in rules.allowed_hosts)
        self._origins = frozenset(origin.lower() for origin in rules.allow_origins)

    def check(self, method: bytes, target: bytes, headers: Headers) -> Verdict:
        """Return whether a request with that head may be answered."""
        host, origin = _find(headers, b"host"), _find(headers, b"origin")
        path, _, query = path_and_query(target).partition(b"?")
        if self._token is NO_TOKEN or method == b"OPTIONS" or self._is_open(path):
            return self._check_browser(method, target, host, origin)
        cors = self._cors(origin)
        is_reading = method in _READING
        is_page = method == b"GET" and "text/html" in (_find(headers, b"accept") or "")
        in_header, in_query = bearer_token(_find(headers, b"authorization")), token_in_query(query)
        if self._token.matches(in_header):
            return Admitted(cors)
        if self._token.matches(in_query):
            if is_page:
                return Answered(way_back(path, without_token(query), self._token.cookie_line))
            return Admitted(cors + self._token.cookie_line if is_reading else cors)
        if is_reading and self._token.is_in_cookies(_find(headers, b"cookie")) and (origin is None or cors):
            return Admitted(cors)
        given = in_header or in_query
        if given and _may_have_credential(method, target, is_page=is_page):
            return Admitted(cors, credential=KEY_SEPARATOR + digest_of(given))
        # Nobody should type a token into a page whose name a stranger may have made.
        if is_page and (host is None or is_known_host(host, self._hosts)):
            return Answered(LOGIN_PAGE)
        return Rejected(HTTPStatus.UNAUTHORIZED, _NEEDS_TOKEN, cors)

    def _check_browser(self, method: bytes, target: bytes, host: str | None, origin: str | None) -> Verdict:
        for name in (host, _authority_of(target)):
            if name is not None and not is_known_host(name, self._hosts):
                return Rejected(HTTPStatus.MISDIRECTED_REQUEST, _unknown_host(name))
        if origin is None or _is_of_host(origin, host):
            return _ADMITTED
        cors = self._cors(origin)
        if not cors:
            return Rejected(HTTPStatus.FORBIDDEN, _foreign_origin(origin))
        return Admitted(cors + _PREFLIGHT if method == b"OPTIONS" else cors)

    def _cors(self, origin: str | None) -> bytes:
        """Return the lines that let a page of an allowed origin read a reply; none for other pages."""
        if origin is None or not self._origins & {origin.lower(), EVERY}:
            return b""
        return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origin.encode("latin-1")


OPEN = Guard(AccessRules(allowed_hosts=(EVERY,), allow_origins=(EVERY,)))
"""Admits every request."""


def _may_have_credential(method: bytes, target: bytes, *, is_page: bool) -> bool:
    """Return whether what answers a request finds its application by the name and the credential together."""
    if method == b"POST":
        return predict_name(target) is not None or infer_head(target, ()) is not None or is_update_target(target)
    return method in _READING and (is_model_target(target) or (is_application_target(target) and not is_page))


def is_known_host(authority: str, names: Collection[str]) -> bool:
    """Return whether no page of a stranger can have made *authority*, ``host`` or ``host:port``, lead here."""
    if EVERY in names:
        return True
    parts = _AUTHORITY.fullmatch(authority.lower())
    if parts is None:
        return False
    host = parts[1].strip("[]").removesuffix(".")
    return _is_address(host) or any(_is_below(host, name) for name in ("localhost", "*.localhost", *names))


def _is_below(host: str, name: str) -> bool:
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _find(headers: Headers, name: bytes) -> str | None:
    for found, value in headers:
        if found.lower() == name:
            return value.strip().decode("latin-1")
    return None


def _authority_of(target: bytes) -> str | None:
    """Return the server in a target as for a proxy, which counts in place of the header."""
    absolute = _ABSOLUTE_TARGET.match(target)
    return None if absolute is None else absolute[1].decode("latin-1")


def _is_of_host(origin: str, host: str | None) -> bool:
    return host is not None and origin.lower().partition("://")[2] == host.lower()


def _unknown_host(name: str) -> str:
    shown = _shown(name)
    return (
        f"This frontend is not known under the name '{shown}'. Use its address or 'localhost', or allow the name: "
        f"start_clipper(allowed_hosts=['{_without_port(shown)}'])."
    )


def _foreign_origin(origin: str) -> str:
    shown = _shown(origin)
    return (
        f"A page of '{shown}' may not ask this frontend from a browser. To allow it: "
        f"start_clipper(allow_origins=['{shown}'])."
    )


def _without_port(authority: str) -> str:
    parts = _AUTHORITY.fullmatch(authority)
    return authority if parts is None else parts[1]


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
