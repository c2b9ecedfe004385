"""What is put into a container that was created and not started yet: files and folders of its user. (pure)"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


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
