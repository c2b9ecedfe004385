"""The package ``cryptography``, which is imported only where a cluster uses TLS."""

from __future__ import annotations

from clipper_nb.errors import InvalidRequestError


def require_cryptography() -> None:
    """Raise :class:`InvalidRequestError` if the package is not installed."""
    try:
        import cryptography  # noqa: F401
    except ImportError as exc:
        raise InvalidRequestError(
            "TLS needs the package 'cryptography', which is not installed here. "
            "Install it: pip install 'clipper-nb[tls]'."
        ) from exc
