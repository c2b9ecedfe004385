"""Copies the logs of a cluster's containers into a folder of the caller's: they may hold what clients sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.user_paths import user_path


def copy_logs(logging_dir: str, write: Callable[[Path], list[str]]) -> list[str]:
    """Return the paths that *write* wrote into the folder, which is created, for this user only, if it is missing.

    Raises
    ------
    InvalidRequestError
        *logging_dir* is no path, or the folder cannot be created or written to.
    """
    folder = user_path("logging_dir", logging_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return write(folder)
    except OSError as exc:
        raise InvalidRequestError(f"The logs cannot be written to {folder}: {exc.strerror}.") from exc


def create_copy(path: Path) -> BinaryIO:
    """Create the copy of a log in place of an older one; only its user can read it, whoever can enter the folder."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
