"""Paths as callers pass them, of files and folders on their machine. (pure)"""

from __future__ import annotations

import os
from pathlib import Path

from clipper_nb.errors import InvalidRequestError


def user_path(name: str, value: object) -> Path:
    """Return the path that a caller passed as the argument *name*, with ``~`` as the user's home folder.

    Raises
    ------
    InvalidRequestError
        It is no path, it is empty, no file can have that name, or it is in the home folder of an unknown user.
    """
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise InvalidRequestError(f"{name} must be the path of a file or folder; it is {value!r:.200}.")
    try:
        text = os.fsdecode(value)
        if b"\0" in os.fsencode(text):
            raise ValueError("it has a null character")
        return Path(text).expanduser()
    except (ValueError, RuntimeError) as exc:  # no Unicode, or no such user
        raise InvalidRequestError(f"{name} is {str(value)!r:.200}, which no file or folder can be: {exc}") from exc
