"""The context of a build, as a tar that depends only on its content: the same input yields the same bytes. (pure)"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
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


def move_folder(packed: IO[bytes], target: IO[bytes], old: str, new: str) -> None:
    """Write a tar of the folder *old* of a packed context to *target*, named *new*; the context is read from its start.

    It has all folders too: a build creates those that its context lacks with these permissions, others may not.
    """
    packed.seek(0)
    with (
        tarfile.open(fileobj=packed) as source,
        tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        folders: set[str] = set()
        for member in source:
            if f"{member.name}/".startswith(f"{old}/"):
                member.name, member.pax_headers = new + member.name.removeprefix(old), {}
                _add_folders(tar, member.name, folders)
                tar.addfile(member, source.extractfile(member))
    packed.seek(0)


def _add_folders(tar: tarfile.TarFile, name: str, known: set[str]) -> None:
    """Add the folders above *name* that are not known yet."""
    for parent in reversed(PurePosixPath(name).parents[:-1]):
        if str(parent) not in known:
            known.add(str(parent))
            _add_folder(tar, tarfile.TarInfo(str(parent)))


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


def bundle_files(folder: Path) -> dict[str, Path]:
    """Return a model folder's files and empty folders by their paths in it."""
    found = folder_files(folder, prefix=".")
    return {name.removeprefix("./"): path for name, path in found.items() if name != "."}


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
        _add_folder(tar, info)
    else:
        with open(content, "rb") as file:
            if content.stat().st_mode & 0o100:
                info.mode = 0o755
            info.size = content.stat().st_size
            tar.addfile(info, file)


def _add_folder(tar: tarfile.TarFile, info: tarfile.TarInfo) -> None:
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)
