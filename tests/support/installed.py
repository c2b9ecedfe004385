"""Distributions as pip leaves them in a folder of installed packages, made within a test."""

from __future__ import annotations

import os
from pathlib import Path


def install(folder: Path, name: str, version: str, *files: str, installed_s: int = 0) -> None:
    """Put a distribution with empty files into *folder*.

    Parameters
    ----------
    folder : Path
    name, version : str
    files : str
        Paths below the folder.
    installed_s : int
        When it was installed, in seconds of the clock that files have.
    """
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("raise AssertionError('imported')\n")
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    os.utime(info, (installed_s, installed_s))
