"""The context of a build, as a tar that depends only on its content: the same input yields the same bytes. (pure)"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from clipper_nb.errors import ImageBuildError

_IN_MEMORY_BYTES = 64 * 1024 * 1024
_DIGEST_LENGTH = 12
_SKIPPED = frozenset({"__pycache__", ".git", ".ipynb_checkpoints", ".venv"})

Files = Mapping[str, "bytes | Path"]
"""By path in the context: content, a file that has it, or an empty folder."""


@contextlib.contextmanager
def pack_context(dockerfile: str, files: Files) -> Iterator[IO[bytes]]:
    """Yield the tar of a build context; it is gone after the ``with``. Times, owners, modes and order are fixed.

    Raises
    ------
    ImageBuildError
        A file cannot be read, or there is no room for the tar.
    """
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, prefix="clipper_nb-") as packed:
        _write(packed, "w", dockerfile, files)
        packed.seek(0)
        yield packed


def digest_context(dockerfile: str, files: Files) -> str:
    """Return a text that identifies a context: twelve hexadecimal digits of its SHA-256."""
    hashing = _Hashing()
    _write(hashing, "w|", dockerfile, files)
    return hashing.digest.hexdigest()[:_DIGEST_LENGTH]


def digest_packed(packed: IO[bytes]) -> str:
    """Return the result of :func:`digest_context` for a context that is already packed; it is read from its start."""
    hashing = _Hashing()
    packed.seek(0)
    while block := packed.read(1 << 20):
        hashing.write(block)
    packed.seek(0)
    return hashing.digest.hexdigest()[:_DIGEST_LENGTH]


class _Hashing:
    """A file that keeps only the SHA-256 of what is written."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, block: bytes) -> int:
        self.digest.update(block)
        return len(block)


def _write(target: Any, mode: Literal["w", "w|"], dockerfile: str, files: Files) -> None:
    try:
        with tarfile.open(fileobj=target, mode=mode, format=tarfile.PAX_FORMAT) as tar:
            for name, content in sorted({**files, "Dockerfile": dockerfile.encode()}.items()):
                _add(tar, name, content)
    except OSError as exc:
        raise ImageBuildError(f"The files of the image cannot be packed: {exc}.") from exc


def folder_files(folder: Path, *, prefix: str) -> dict[str, Path]:
    """Return a folder's files and empty folders below *prefix*, or the folder itself as *prefix* if nothing is in it.

    Links are followed, except those to nowhere or to a folder above them; cache folders are left out.
    """
    try:
        found = {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in _walk(folder)}
    except OSError as exc:
        raise ImageBuildError(f"The folder {str(folder)!r} cannot be read: {exc}.") from exc
    return found or {prefix: folder}  # a Dockerfile copies it all the same


def _walk(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    above |= {folder.resolve()}
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.is_dir() and path.name not in _SKIPPED and path.resolve() not in above:
            if any(path.iterdir()):
                yield from _walk(path, above)
            else:
                yield path


def _add(tar: tarfile.TarFile, name: str, content: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    if isinstance(content, bytes):
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    elif content.is_dir():
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(info)
    else:
        with open(content, "rb") as file:
            if content.stat().st_mode & 0o100:
                info.mode = 0o755
            info.size = content.stat().st_size
            tar.addfile(info, file)
