"""Folders for work in progress; the next process removes what a killed process left of one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def working_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a folder for this user alone that is gone after the ``with``; it is locked while it is needed.

    Folders of processes that have ended are removed first: the kernel has released their locks.
    """
    remove_abandoned(parent, prefix)
    with contextlib.ExitStack() as held:
        folder = _make_locked(parent, prefix, held)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove this user's working folders whose process has ended."""
    with os.scandir(parent) as entries:  # many, in the machine's folder for temporary files
        folders = [Path(entry.path) for entry in entries if entry.name.startswith(prefix)]
    for folder in folders:
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid():
                with locked(folder, blocking=False):
                    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: Path, *, blocking: bool = True) -> Iterator[None]:
    """Hold a folder's lock, which leaves no file; raises ``BlockingIOError`` instead of waiting if not *blocking*."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _make_locked(parent: Path, prefix: str, held: contextlib.ExitStack) -> Path:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        # Until it is locked, another process may consider it abandoned.
        try:
            held.enter_context(locked(folder, blocking=False))
        except (FileNotFoundError, BlockingIOError):
            continue
        except OSError:  # a file system without locks, where no process considers it abandoned either
            return folder
        if folder.exists():
            return folder
