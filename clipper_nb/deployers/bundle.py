"""The folder that every deployer writes for one model version; always removed again."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from clipper_nb.closures.sample_outputs import digest_sample_inputs
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.surroundings import copy_files, folder_for_deploy
from clipper_nb.protocol.model_folder import Metadata, write_metadata


@contextlib.contextmanager
def bundle(
    metadata: Metadata, new: NewVersion | None = None, sample_inputs: Sequence[Any] | None = None
) -> Iterator[Path]:
    """Yield a temporary folder with *metadata* and files of *new*; it is gone after the ``with``, however that ends.

    Of *sample_inputs* the metadata say which they are; their answers may come later.
    """
    metadata = msgspec.structs.replace(metadata, samples=digest_sample_inputs(sample_inputs))
    metadata = msgspec.structs.replace(metadata, python_version=platform.python_version())
    if new is not None:
        names = tuple(new.environment_variables.names)
        metadata = msgspec.structs.replace(metadata, environment_variables=names, files=new.files)
    with folder_for_deploy() as path:
        write_metadata(metadata, path)
        copy_files(metadata.files, path)
        yield path
