"""What the C library does with freed memory, so that no message is written to pages that the kernel must map anew.

glibc gives the end of its heap back as soon as 128 KB of it are free, unless it has learnt better from larger blocks:
an image of 150 kB then costs more for its pages than for all that is done with it.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
_MEGABYTE = 1024 * 1024


def keep_small_blocks() -> None:
    """Keep up to 16 MB for the next messages, and return a larger body's memory to the system as soon as it is freed.

    Blocks from 1 MB on are mappings of their own, which also grow without copying. Otherwise the C library learns from
    the first bodies to keep such blocks for reuse, up to 64 MB.
    """
    _set(_M_MMAP_THRESHOLD, _MEGABYTE)
    _set(_M_TRIM_THRESHOLD, 16 * _MEGABYTE)


def keep_blocks() -> None:
    """Keep blocks of up to 32 MB, 64 MB in all: the most that the C library would learn from what a model frees."""
    _set(_M_MMAP_THRESHOLD, 32 * _MEGABYTE)
    _set(_M_TRIM_THRESHOLD, 64 * _MEGABYTE)


def _set(parameter: int, size_bytes: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library, or another system
        ctypes.CDLL(None).mallopt(parameter, size_bytes)
