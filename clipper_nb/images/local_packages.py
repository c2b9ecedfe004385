"""Packages that are files of this machine: a wheel, an archive, a project's folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from clipper_nb.images import templates
from clipper_nb.images.context import folder_files


def find_local_packages(packages: Sequence[str]) -> tuple[list[str], dict[str, Path]]:
    """Return the requirements as the build sees them, and the files of those that are paths of this machine."""
    requirements: list[str] = []
    files: dict[str, Path] = {}
    for number, package in enumerate(packages):
        path = Path(package).expanduser()
        looks_like_path = os.sep in package or package.endswith((".whl", ".tar.gz", ".zip"))
        if not looks_like_path or not path.exists():
            requirements.append(package)
        elif path.is_dir():
            files.update(folder_files(path, prefix=f"packages/{number}"))
            requirements.append(templates.package_path(str(number)))
        else:
            files[f"packages/{number}/{path.name}"] = path
            requirements.append(templates.package_path(f"{number}/{path.name}"))
    return requirements, files
