"""The folder that every deployer writes for one model version; always removed again."""

from __future__ import annotations

import contextlib
import errno
import json
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipper_nb.errors import DeploymentError, DiskFullError
from clipper_nb.images.working_folder import working_folder


@contextlib.contextmanager
def bundle(*, kind: str, input_type: str, **facts: Any) -> Iterator[Path]:
    """Give a temporary folder that holds ``metadata.json``; it is gone after the ``with``, however that ends.

    *facts* are what the kind's adapter wants to know besides.
    """
    metadata = {"kind": kind, "input_type": input_type, "python_version": platform.python_version(), **facts}
    try:
        with working_folder(Path(tempfile.gettempdir()), "clipper_nb-bundle-") as path:
            (path / "metadata.json").write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")
            yield path
    except OSError as exc:  # of the files that are written: everything else raises errors of ours
        kind_of_error = DiskFullError if exc.errno == errno.ENOSPC else DeploymentError
        raise kind_of_error(
            f"The model's files cannot be written into {tempfile.gettempdir()}: {exc.strerror}. TMPDIR can name "
            "another folder."
        ) from exc
