"""The folder that every deployer writes for one model version; always removed again."""

from __future__ import annotations

import contextlib
import json
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipper_nb.errors import DeploymentError


@contextlib.contextmanager
def bundle(*, kind: str, input_type: str, **facts: Any) -> Iterator[Path]:
    """Give a temporary folder that holds ``metadata.json``; it is gone after the ``with``, however that ends.

    *facts* are what the kind's adapter wants to know besides.
    """
    metadata = {"kind": kind, "input_type": input_type, "python_version": platform.python_version(), **facts}
    try:
        temporary = tempfile.TemporaryDirectory(prefix="clipper_nb-")
    except OSError as exc:
        raise DeploymentError(f"The model's files cannot be written: {exc.strerror}.") from exc
    with temporary as folder:
        path = Path(folder)
        (path / "metadata.json").write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")
        yield path
