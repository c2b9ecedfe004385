"""Folders that images are built in, beside the finished ones: what a killed notebook left is removed by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".building-"


@contextlib.contextmanager
def working_folder(images_path: Path) -> Iterator[Path]:
    """Give a folder on the disk of the images that is gone after the ``with``; it is locked as long as it is needed.

    Those of processes that ended meanwhile are removed first: the kernel has given up their locks.
    """
    images_path.mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as held:
        with locked(images_path):
            remove_abandoned(images_path)
            folder = Path(tempfile.mkdtemp(dir=images_path, prefix=_PREFIX))
            held.enter_context(locked(folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(images_path: Path) -> None:
    """Remove working folders whose process has ended; the caller holds the lock of *images_path*."""
    for folder in images_path.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), locked(folder, blocking=False):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path, *, blocking: bool = True) -> Iterator[None]:
    """Hold a folder's lock, which leaves no file; raises ``BlockingIOError`` instead of waiting if told not to."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
