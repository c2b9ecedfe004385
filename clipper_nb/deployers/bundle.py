"""The folder that every deployer writes for one model version; always removed again."""

from __future__ import annotations

import contextlib
import errno
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.surroundings import copy_files
from clipper_nb.errors import DeploymentError, DiskFullError
from clipper_nb.images.working_folder import working_folder
from clipper_nb.protocol.model_folder import Metadata, write_metadata


@contextlib.contextmanager
def bundle(metadata: Metadata, new: NewVersion | None = None) -> Iterator[Path]:
    """Yield a temporary folder with *metadata* and files of *new*; it is gone after the ``with``, however that ends."""
    metadata = msgspec.structs.replace(metadata, python_version=platform.python_version())
    if new is not None:
        names = tuple(new.environment_variables.names)
        metadata = msgspec.structs.replace(metadata, environment_variables=names, files=new.files)
    try:
        with working_folder(Path(tempfile.gettempdir()), "clipper_nb-bundle-") as path:
            write_metadata(metadata, path)
            copy_files(metadata.files, path)
            yield path
    except OSError as exc:  # from writing files: everything else raises errors of this package
        kind_of_error = DiskFullError if exc.errno == errno.ENOSPC else DeploymentError
        raise kind_of_error(
            f"The model's files cannot be written into {tempfile.gettempdir()}: {exc.strerror}. Set TMPDIR to "
            "another folder."
        ) from exc
