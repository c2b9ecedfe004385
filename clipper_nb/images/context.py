"""What a build is given, as a tar that depends on nothing but its content: the same input is the same bytes. (pure)"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

_IN_MEMORY_BYTES = 64 * 1024 * 1024

Files = Mapping[str, "bytes | Path"]
"""Content, or a file that has it, by path in the context."""


@contextlib.contextmanager
def pack_context(dockerfile: str, files: Files) -> Iterator[IO[bytes]]:
    """Give the tar of a build context; it is gone after the ``with``. Times, owners, modes and order are fixed."""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, prefix="clipper_nb-") as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in sorted({**files, "Dockerfile": dockerfile.encode()}.items()):
                _add(tar, name, content)
        packed.seek(0)
        yield packed


def digest_context(dockerfile: str, files: Files) -> str:
    """Return a text that tells one context from any other: twelve hexadecimal digits of its SHA-256."""
    digest = hashlib.sha256()
    with pack_context(dockerfile, files) as packed:
        while block := packed.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]


def folder_files(folder: Path, *, prefix: str) -> dict[str, Path]:
    """Return a folder's files below *prefix*; symbolic links are followed, caches of Python and pip left out."""
    return {
        f"{prefix}/{path.relative_to(folder).as_posix()}": path
        for path in folder.rglob("*")
        if path.is_file() and not _SKIPPED.intersection(path.relative_to(folder).parts)
    }


_SKIPPED = frozenset({"__pycache__", ".git", ".ipynb_checkpoints", ".venv"})


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    else:
        if content.stat().st_mode & 0o100:
            info.mode = 0o755
        info.size = content.stat().st_size
        with open(content, "rb") as file:
            tar.addfile(info, file)
