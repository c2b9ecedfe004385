"""Copies the logs of a cluster's containers into a folder of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.user_paths import user_path


def copy_logs(logging_dir: str, write: Callable[[Path], list[str]]) -> list[str]:
    """Return the paths that *write* wrote into the folder, which is created if it is missing.

    Raises
    ------
    InvalidRequestError
        *logging_dir* is no path, or the folder cannot be created or written to.
    """
    folder = user_path("logging_dir", logging_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return write(folder)
    except OSError as exc:
        raise InvalidRequestError(f"The logs cannot be written to {folder}: {exc.strerror}.") from exc
