"""What is put into a container that was created and not started yet: files and folders of its user. (pure)"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from clipper_nb.container_managers.monitoring.files import Files


def owner_of(user: str | None) -> tuple[int, int] | None:
    """Return the numbers of a container's user and group; ``None`` if only its image knows them."""
    uid, _, gid = (user or "").partition(":")
    return (int(uid), int(gid)) if uid.isdigit() and gid.isdigit() else None


def pack_files(files: Mapping[str, str], owner: tuple[int, int] | None) -> bytes:
    """Return the archive of files that only *owner* can read, or every process of the container if it is not known."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            data = content.encode()
            info = _owned(tarfile.TarInfo(name), owner)
            info.size, info.mode = len(data), 0o444 if owner is None else 0o400
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def pack_tree(name: str, files: Files, owner: tuple[int, int]) -> bytes:
    """Return the archive of a folder with *files* below it, and an empty ``data``, which all belong to *owner*."""
    folders = {name, f"{name}/data", *(str(parent) for path in files for parent in PurePosixPath(name, path).parents)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in sorted(folders - {"."}):
            info = _owned(tarfile.TarInfo(folder), owner)
            info.type, info.mode = tarfile.DIRTYPE, 0o700
            tar.addfile(info)
        for path, file in files.items():
            data = file.text.encode()
            info = _owned(tarfile.TarInfo(f"{name}/{path}"), owner)
            info.size, info.mode = len(data), file.mode
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def pack_folder(name: str, owner: tuple[int, int] | None) -> bytes:
    """Return the archive of an empty folder that only *owner* can use, or every process of the container."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = _owned(tarfile.TarInfo(name), owner)
        info.type, info.mode = tarfile.DIRTYPE, 0o777 if owner is None else 0o700
        tar.addfile(info)
    return packed.getvalue()


def _owned(info: tarfile.TarInfo, owner: tuple[int, int] | None) -> tarfile.TarInfo:
    info.uid, info.gid = owner or (0, 0)
    return info
