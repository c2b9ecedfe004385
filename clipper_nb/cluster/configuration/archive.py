"""The file of an exported configuration: a tar of bundles, and after them the manifest, which names all of them.

What stands in the tar is never trusted: only regular files with exactly the paths, sizes and digests of the manifest
are read, and no name in the tar decides where something is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from clipper_nb.cluster.configuration.manifest import (
    ExportedBundle,
    ExportedFile,
    ExportedVersion,
    Manifest,
    format_manifest,
    parse_manifest,
)
from clipper_nb.errors import ConfigurationFileError, InvalidNameError
from clipper_nb.images.builder import ImageSource
from clipper_nb.protocol.names import is_unicode

_MANIFEST_FILE = "manifest.json"
_MAX_MANIFEST_BYTES = 256 * 1024 * 1024
_BLOCK_BYTES = 1 << 20


class ArchiveWriter:
    """Writes bundles, then the manifest; times, owners and order are fixed."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add_bundle(self, folder: str, source: ImageSource) -> ExportedBundle:
        """Write the files of a version and return their description."""
        empty_folders = [name for name, content in source.files.items() if _is_folder(content)]
        files = [
            self._add_file(folder, name, content)
            for name, content in sorted(source.files.items())
            if not _is_folder(content)
        ]
        return ExportedBundle(
            files=tuple(files),
            empty_folders=tuple(sorted(empty_folders)),
            packages=tuple(source.packages),
            base_image=source.base_image,
        )

    def add_manifest(self, manifest: Manifest) -> None:
        """Write the manifest: the file is complete."""
        content = format_manifest(manifest)
        self._add(_MANIFEST_FILE, io.BytesIO(content), len(content), is_executable=False)

    def _add_file(self, folder: str, name: str, content: bytes | Path) -> ExportedFile:
        if not is_unicode(name):
            raise ConfigurationFileError(f"The name of file {name!r} in {folder} is not Unicode; rename it.")
        if isinstance(content, bytes):
            return self._describe(folder, name, io.BytesIO(content), len(content), is_executable=False)
        with open(content, "rb") as file:
            status = os.fstat(file.fileno())
            return self._describe(folder, name, file, status.st_size, is_executable=bool(status.st_mode & 0o100))

    def _describe(
        self, folder: str, name: str, file: IO[bytes], size_bytes: int, *, is_executable: bool
    ) -> ExportedFile:
        digest = self._add(f"{folder}/{name}", file, size_bytes, is_executable=is_executable)
        return ExportedFile(path=name, size_bytes=size_bytes, sha256=digest, is_executable=is_executable)

    def _add(self, name: str, file: IO[bytes], size_bytes: int, *, is_executable: bool) -> str:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size_bytes, 0o755 if is_executable else 0o644
        hashing = _HashingReader(file)
        self._tar.addfile(info, hashing)
        return hashing.digest.hexdigest()


class _HashingReader(io.RawIOBase):
    """A file that is read once, and its SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.digest.update(block)
        return block


@contextlib.contextmanager
def new_archive(path: Path) -> Iterator[ArchiveWriter]:
    """Yield a writer of a file for this user alone, which replaces *path* when the ``with`` ends without an error.

    Raises
    ------
    ConfigurationFileError
        The file cannot be written.
    """
    try:
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                    yield ArchiveWriter(tar)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as exc:
        raise ConfigurationFileError(f"The configuration cannot be written to {path}: {exc.strerror or exc}.") from exc


class Archive:
    """An exported configuration that is open for reading; its files are checked.

    Attributes
    ----------
    manifest : Manifest
    """

    def __init__(self, tar: tarfile.TarFile, manifest: Manifest) -> None:
        self.manifest = manifest
        self._tar = tar
        self._members = {member.name: member for member in tar.getmembers()}

    def read(self, version: ExportedVersion, name: str) -> bytes | None:
        """Return a file of a version's bundle, or ``None`` when it has none of that path."""
        member = self._members.get(f"{version.folder}/{name}")
        file = None if member is None else self._tar.extractfile(member)
        return None if file is None else file.read()

    def extract(self, version: ExportedVersion, target: Path) -> None:
        """Write a version's bundle into the empty folder *target*.

        Raises
        ------
        ConfigurationFileError
            It cannot be written there.
        """
        assert version.bundle is not None
        try:
            for name in version.bundle.empty_folders:
                target.joinpath(*name.split("/")).mkdir(parents=True, exist_ok=True)
            for described in version.files:
                path = target.joinpath(*described.path.split("/"))
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(f"{version.folder}/{described.path}", path)
                path.chmod(0o755 if described.is_executable else 0o644)
        except OSError as exc:
            raise ConfigurationFileError(f"A file of {version.model_id} cannot be written: {exc}.") from exc

    def check_files(self) -> None:
        """Raise :class:`ConfigurationFileError` unless the tar has what the manifest names, and nothing else."""
        described = self.manifest.members()
        for name in self._members.keys() ^ {*described, _MANIFEST_FILE}:
            what = "is missing" if name in described else "is not in the manifest"
            raise ConfigurationFileError(f"{name!r} {what}.")
        for name, file in described.items():
            if self._members[name].size != file.size_bytes or self._digest(name) != file.sha256:
                raise ConfigurationFileError(f"{name!r} is not what was exported: it was damaged or changed.")

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for block in self._blocks(name):
            digest.update(block)
        return digest.hexdigest()

    def _write(self, name: str, path: Path) -> None:
        with open(path, "xb") as copy:
            copy.writelines(self._blocks(name))

    def _blocks(self, name: str) -> Iterator[bytes]:
        file = self._tar.extractfile(self._members[name])
        assert file is not None  # a regular one
        while block := file.read(_BLOCK_BYTES):
            yield block


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Yield an exported configuration, of which everything was checked.

    Raises
    ------
    ConfigurationFileError
        The file is missing, is no export, is truncated or damaged, or of another format.
    """
    with contextlib.ExitStack() as opened:
        try:
            if not path.is_file():
                raise ConfigurationFileError("There is no such file.")
            tar = opened.enter_context(tarfile.open(path, "r:"))
            archive = Archive(tar, _read_manifest(tar))
            archive.check_files()
        except (ConfigurationFileError, InvalidNameError) as exc:
            raise ConfigurationFileError(f"{path} cannot be imported. {exc}") from exc
        except (tarfile.TarError, OSError, ValueError, OverflowError) as exc:
            raise ConfigurationFileError(
                f"{path} cannot be imported. It is no file of export_configuration(), or only a part of one: {exc}."
            ) from exc
        yield archive


def _read_manifest(tar: tarfile.TarFile) -> Manifest:
    names: set[str] = set()
    for member in tar.getmembers():
        if not member.isreg() or member.issparse() or member.name in names:
            raise ConfigurationFileError(f"{member.name!r} is a link, a folder or there twice; exports have none.")
        names.add(member.name)
    if _MANIFEST_FILE not in names:
        raise ConfigurationFileError(f"It has no {_MANIFEST_FILE} at its end, so it is no export, or truncated.")
    member = tar.getmember(_MANIFEST_FILE)
    file: Any = tar.extractfile(member)
    if member.size > _MAX_MANIFEST_BYTES:
        raise ConfigurationFileError(f"Its {_MANIFEST_FILE} has {member.size} bytes, more than {_MAX_MANIFEST_BYTES}.")
    return parse_manifest(file.read())


def _is_folder(content: bytes | Path) -> bool:
    return isinstance(content, Path) and content.is_dir()
