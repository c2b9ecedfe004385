"""Hashes a password as Prometheus wants it: bcrypt, by the package of that name or by the system's C library."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import secrets

from clipper_nb.errors import ClusterStartError

_ROUNDS = 8
"""A random token cannot be guessed; more rounds would only slow each request down."""
_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NUM_SALT_CHARACTERS = 22


def hash_password(password: str) -> str:
    """Return the bcrypt hash of a password.

    Raises
    ------
    ClusterStartError
        Nothing here can make one.
    """
    found = _by_package(password) or _by_system(password)
    if found is None:
        raise ClusterStartError(
            "The cluster asks for a token, so its Prometheus asks for a password; nothing here can hash it. "
            "pip install bcrypt, or run a Prometheus of your own on the files of export_monitoring()."
        )
    return found


def _by_package(password: str) -> str | None:
    try:
        bcrypt = importlib.import_module("bcrypt")
    except ImportError:
        return None
    return str(bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode())


def _by_system(password: str) -> str | None:
    path = ctypes.util.find_library("crypt")
    if path is None:
        return None
    crypt = ctypes.CDLL(path).crypt
    crypt.restype, crypt.argtypes = ctypes.c_char_p, (ctypes.c_char_p, ctypes.c_char_p)
    # The last character has only two bits of the salt: 16 bytes are 128 bits.
    salt = "".join(secrets.choice(_ALPHABET) for _ in range(_NUM_SALT_CHARACTERS - 1)) + secrets.choice(".Oeu")
    found = crypt(password.encode(), f"$2b${_ROUNDS:02d}${salt}".encode())
    text = found.decode() if found else ""
    return text if text.startswith("$2b$") else None
