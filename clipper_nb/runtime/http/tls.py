"""The certificate that a frontend serves HTTPS with."""

from __future__ import annotations

import ssl
import tempfile

from clipper_nb.errors import InvalidRequestError


def make_context(served: str) -> ssl.SSLContext:
    """Return the context of a server; *served* is PEM of its key and its certificates.

    Raises
    ------
    InvalidRequestError
        OpenSSL cannot serve it.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.NamedTemporaryFile("w", prefix="clipper_nb-") as file:  # OpenSSL reads files only; it is ours alone
        file.write(served)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as exc:
            raise InvalidRequestError(f"The certificate for HTTPS cannot be served: {exc}.") from exc
    return context
