"""Images of the embedded cluster: a folder with the model, and an environment of its own when it asks for packages."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from clipper_nb.child_environment import child_environment
from clipper_nb.errors import (
    DiskFullError,
    ImageBuildError,
    ImageNotFoundError,
    InvalidRequestError,
    PackageInstallError,
)
from clipper_nb.images.build_failures import NO_SPACE
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, ImageBuilder, ImageRequest
from clipper_nb.progress import QUIET, Progress
from clipper_nb.provenance_files import read_folder

_ENVIRONMENT_FOLDER = "environment"
_HOW_TO_FREE = "stop_all() of clusters that you need no more frees some; root_folder= can name a larger disk."
_INSTALL_TIMEOUT_S = 1800


class FolderBuilder(ImageBuilder):
    """Copies the bundle; packages go into a virtual environment on top of the notebook's own.

    Parameters
    ----------
    image_path : callable
        Gives an image's folder by its tag.
    """

    def __init__(self, image_path: Callable[[str], Path]) -> None:
        self._image_path = image_path

    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        if request.base_image != DEFAULT_BASE_IMAGE:
            raise InvalidRequestError(
                f"base_image={request.base_image!r} is for Docker. The embedded cluster runs models in the notebook's "
                "own Python; leave base_image out."
            )
        if request.container_registry is not None:
            raise InvalidRequestError("The embedded cluster's images stay on this machine; leave the registry out.")
        if not Path(request.model_data_path).is_dir():
            raise InvalidRequestError(f"model_data_path {request.model_data_path!r} is not a folder.")
        progress.step(f"Build image {request.image}")
        final = self._image_path(request.image)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=final.parent, prefix=".building-") as temporary:
                building = Path(temporary, "image")
                shutil.copytree(request.model_data_path, building)
                if request.packages:
                    _make_environment(building / _ENVIRONMENT_FOLDER, request)
                if final.exists():
                    final.rename(Path(temporary, "replaced"))
                building.rename(final)
        except OSError as exc:
            if NO_SPACE in str(exc).lower():
                raise DiskFullError(
                    f"No space is left in {final.parent}, where the images of the embedded cluster lie. {_HOW_TO_FREE}"
                ) from exc
            raise ImageBuildError(f"The image of {request.model_id} cannot be written: {exc}.") from exc
        return request.image

    def read_model_files(self, image: str, names: Sequence[str]) -> dict[str, bytes]:
        folder = self._image_path(image)
        if not folder.is_dir():
            raise ImageNotFoundError(image, "The embedded cluster's images are made by build_model().")
        return read_folder(folder, names)

    def remove(self, image: str) -> None:
        shutil.rmtree(self._image_path(image), ignore_errors=True)


def environment_python(image_folder: Path) -> str:
    """Return the Python that runs the image's model: of its own environment, or the notebook's."""
    own = image_folder / _ENVIRONMENT_FOLDER / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _make_environment(path: Path, request: ImageRequest) -> None:
    """Make a virtual environment that sees the notebook's packages below its own, and install into it."""
    venv.create(path, with_pip=False, symlinks=True)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(path), "platbase": str(path)}))
    purelib.mkdir(parents=True, exist_ok=True)
    lines = [f"import site; site.addsitedir({folder!r})" for folder in _notebook_site_folders()]
    (purelib / "_notebook.pth").write_text("\n".join(lines) + "\n")
    _install(path / "bin" / "python", request.packages, f"the packages of {request.model_id}")


def _notebook_site_folders() -> list[str]:
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return [folder for folder in dict.fromkeys(folders) if os.path.isdir(folder)]


def _install(python: Path, packages: Sequence[str], what: str) -> None:
    command = [
        sys.executable, "-m", "pip", "--python", str(python), "install", "--disable-pip-version-check", "--no-input",
        "--no-warn-script-location", "--", *packages,
    ]  # fmt: skip
    try:
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=_INSTALL_TIMEOUT_S, check=False, env=child_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise ImageBuildError(f"Installing {what} took longer than {_INSTALL_TIMEOUT_S} s.") from exc
    if finished.returncode != 0:
        log_tail = "\n".join(finished.stdout.splitlines()[-30:])
        if NO_SPACE in log_tail.lower():
            raise DiskFullError(f"No space is left, installing {what}. {_HOW_TO_FREE}", log_tail)
        raise PackageInstallError(f"pip could not install {what} ({', '.join(packages)}).", log_tail)
