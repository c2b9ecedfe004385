"""Reads files out of an image, from a container that never starts: the engine has no other way."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from clipper_nb.errors import ImageNotFoundError
from clipper_nb.images.docker_engine import DockerEngine, docker_module, translated
from clipper_nb.images.templates import MODEL_FOLDER
from clipper_nb.protocol.environment import LABEL_CLUSTER

READER_LABEL = "ai.clipper.reader"
_READER_LABELS = {READER_LABEL: "", LABEL_CLUSTER: ""}
"""Labels of the container; the image's own would make it one of the cluster's."""
_IN_MEMORY_BYTES = 64 * 1024 * 1024


def read_files(engine: DockerEngine, image: str, names: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of those of the named files that an image's model folder has."""
    found: dict[str, bytes] = {}
    with _reader(engine, image) as container:
        for name in names:
            with _archive_of(container, f"{MODEL_FOLDER}/{name}") as packed:
                content = None if packed is None else _only_file(packed)
            if content is not None:
                found[name] = content
    return found


def copy_model_folder(engine: DockerEngine, image: str, target: Path) -> None:
    """Copy an image's model folder into the new folder *target*: its folders and regular files, nothing else."""
    target.mkdir(parents=True)
    with _reader(engine, image) as container, _archive_of(container, MODEL_FOLDER) as packed:
        if packed is None:
            return
        with tarfile.open(fileobj=packed) as tar:
            for member in tar:
                _copy(tar, member, target)


@contextlib.contextmanager
def _reader(engine: DockerEngine, image: str) -> Iterator[Any]:
    if engine.find_image(image) is None:
        raise ImageNotFoundError(image, "The engine does not have it any more.")
    with translated(f"reading files of image '{image}'"):
        container = engine.client.containers.create(
            image, command=["python"], network_mode="none", labels=_READER_LABELS
        )
        try:
            yield container
        finally:
            container.remove(force=True)


@contextlib.contextmanager
def _archive_of(container: Any, path: str) -> Iterator[IO[bytes] | None]:
    """Yield a tar of a container's file or folder, or ``None`` when there is none."""
    try:
        stream, _ = container.get_archive(path)
    except docker_module().errors.NotFound:
        yield None
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, prefix="clipper_nb-") as packed:
        packed.writelines(stream)
        packed.seek(0)
        yield packed


def _only_file(packed: IO[bytes]) -> bytes | None:
    with tarfile.open(fileobj=packed) as tar:
        member = tar.next()
        file = None if member is None else tar.extractfile(member)
        return None if file is None else file.read()


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    _top, *parts = member.name.split("/")
    path = target.joinpath(*parts)
    if ".." in parts or not (member.isdir() or member.isreg()):
        return
    if member.isdir():
        path.mkdir(exist_ok=True)
        return
    file = tar.extractfile(member)
    assert file is not None  # a regular one
    with file, open(path, "xb") as copy:
        while block := file.read(1 << 20):
            copy.write(block)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)
