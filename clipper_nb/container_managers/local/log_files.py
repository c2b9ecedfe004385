"""The log of one process: a file of bounded size, and its older parts.

The process writes to its own descriptor and knows nothing of this. So a full log is copied and then emptied; the
process continues at the new end, because the descriptor appends.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import BinaryIO

LARGEST_PART_SIZE_BYTES = 10 * 1024 * 1024
NUM_OLDER_PARTS = 2

_PIECE_SIZE_BYTES = 256 * 1024
_TAIL_SIZE_BYTES = 256 * 1024


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to; only its user can read it."""
    return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "ab")


def log_parts(path: Path) -> list[Path]:
    """Return the existing parts of a log, newest first."""
    return [part for part in (path, *_older_parts(path)) if part.exists()]


def rotate_log(path: Path, *, largest_size_bytes: int = LARGEST_PART_SIZE_BYTES) -> bool:
    """Move the content of a full log to its first older part and empty the log; return whether it was full.

    What is written in the microseconds between the last copied piece and the cut is lost. If a log grew to more
    than twice that size since the last check, only its end is kept. On a full disk nothing is kept, to free space.
    """
    try:
        with open(path, "r+b", buffering=0) as log:
            if os.fstat(log.fileno()).st_size <= largest_size_bytes:
                return False
            copy = path.with_name(path.name + ".copy")
            with contextlib.suppress(OSError):
                _copy_end(log, copy, 2 * largest_size_bytes)
                _shift(copy, path)
            log.truncate(0)
            copy.unlink(missing_ok=True)
    except FileNotFoundError:
        return False
    return True


def remove_log(path: Path) -> None:
    """Remove a log with all its parts."""
    for part in (path, *_older_parts(path)):
        part.unlink(missing_ok=True)


def read_tail(path: Path, max_lines: int) -> str:
    """Return the last lines of a log, whatever parts they are in; empty when there is none."""
    tail = b""
    for part in (path, *_older_parts(path)):
        if len(tail) >= _TAIL_SIZE_BYTES or tail.count(b"\n") > max_lines:
            break
        with contextlib.suppress(OSError):
            tail = _read_end(part, _TAIL_SIZE_BYTES - len(tail)) + tail
    return "\n".join(tail.decode("utf-8", "replace").splitlines()[-max_lines:])


def _older_parts(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}.{number}") for number in range(1, NUM_OLDER_PARTS + 1)]


def _shift(copy: Path, path: Path) -> None:
    """Make *copy* the first older part, the first the second, and so on; the last part is dropped."""
    parts = [copy, *_older_parts(path)]
    for newer, older in reversed(list(itertools.pairwise(parts))):
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)


def _copy_end(log: BinaryIO, copy: Path, largest_size_bytes: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(copy, flags, 0o600), "wb") as target:
        log.seek(max(0, os.fstat(log.fileno()).st_size - largest_size_bytes))
        # The copy is bounded: a writer may be faster than it.
        while target.tell() <= largest_size_bytes and (piece := log.read(_PIECE_SIZE_BYTES)):
            target.write(piece)


def _read_end(path: Path, size_bytes: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - size_bytes))
        return file.read(size_bytes)
