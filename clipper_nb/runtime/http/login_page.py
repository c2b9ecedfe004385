"""What a browser gets that opens a page without the cluster's token: a form for it, and then its way back. (pure)"""

from __future__ import annotations

from urllib.parse import quote, urlencode

_FORM = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Token needed</title></head>
<body>
<h1>This cluster asks for a token</h1>
<p>In a notebook that is connected to it, <code>conn.query_token</code> has the token.</p>
<form method="get">
<label>Token <input type="password" name="token" autocomplete="off" autofocus required></label>
<button>Open</button>
</form>
</body>
</html>
"""
_COMMON = (
    b"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    b"Connection: close\r\n"
)

LOGIN_PAGE = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html; charset=utf-8\r\n"
    b'WWW-Authenticate: Bearer realm="clipper_nb"\r\n'
    b"Content-Security-Policy: default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
    b"Content-Length: %d\r\n" % len(_FORM) + _COMMON + b"\r\n" + _FORM
)
"""A whole reply. The form asks for the same address again, with the token in its query part."""


def way_back(path: bytes, query: list[tuple[str, str]], cookie_line: bytes) -> bytes:
    """Return a reply that sends the browser to the same page with a cookie, and without the token in its address.

    The address is relative to the page, whose folder is another one behind a proxy.
    """
    name = quote(path.rpartition(b"/")[2].decode("latin-1"), safe="%")
    target = f"./{name}?{urlencode(query)}" if query else f"./{name}"
    head = b"HTTP/1.1 303 See Other\r\nLocation: %b\r\nContent-Length: 0\r\n" % target.encode("ascii")
    return head + cookie_line + _COMMON + b"\r\n"
