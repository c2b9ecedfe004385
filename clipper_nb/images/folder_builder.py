"""Images of the embedded cluster: a folder with the model, and its own environment when it needs packages."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import (
    DeploymentError,
    DiskFullError,
    ImageBuildError,
    ImageNotFoundError,
    InvalidRequestError,
    PackageInstallError,
)
from clipper_nb.images.build_failures import NO_SPACE
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, DeployedImage, ImageBuilder, ImageRequest, ImageSource
from clipper_nb.images.child_environment import child_environment
from clipper_nb.images.context import bundle_files, digest_context, folder_files
from clipper_nb.images.local_packages import find_local_packages
from clipper_nb.images.working_folder import locked, working_folder
from clipper_nb.protocol.model_folder import read_folder
from clipper_nb.protocol.names import ModelId

_BUILDING = ".building-"
_ENVIRONMENT_FOLDER = "environment"
_RECORD_FILE = ".clipper_nb-image.json"
_HOW_TO_FREE = "Call stop_all() on clusters that you no longer need, or set root_folder= to a larger disk."
_INSTALL_TIMEOUT_S = 1800


class FolderBuilder(ImageBuilder):
    """Copies the bundle; packages go into a virtual environment on top of the notebook's own.

    Parameters
    ----------
    images_path : Path
        The folder of all images.
    image_path : callable
        Returns an image's folder in it by its tag.
    """

    can_complete = True
    has_base_images = False

    def __init__(self, images_path: Path, image_path: Callable[[str], Path]) -> None:
        self._images_path = images_path
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
        progress.step(f"Build the image of {request.model_id}")
        try:
            self._images_path.mkdir(mode=0o700, exist_ok=True)
            with working_folder(self._images_path, _BUILDING) as working:
                return self._build(request, working / "image")
        except OSError as exc:
            raise self._write_error(exc, str(request.model_id)) from exc

    def complete(self, image: str, files: Mapping[str, bytes]) -> None:
        folder = self._image_path(image)
        try:
            for name, content in files.items():
                part = folder / f".{name}.part"
                part.write_bytes(content)
                part.replace(folder / name)
        except OSError as exc:
            raise self._write_error(exc, image) from exc

    def _write_error(self, exc: OSError, what: str) -> DeploymentError:
        if NO_SPACE in str(exc).lower():
            return DiskFullError(
                f"No space is left in {self._images_path}, where the images of the embedded cluster are. {_HOW_TO_FREE}"
            )
        return ImageBuildError(f"The image of {what} cannot be written: {exc}.")

    def read_model_files(self, image: str, names: Sequence[str]) -> dict[str, bytes]:
        return read_folder(self._find(image), names)

    @contextlib.contextmanager
    def open_source(self, image: str) -> Iterator[ImageSource]:
        folder = self._find(image)
        packages = json.loads((folder / _RECORD_FILE).read_text()).get("packages", [])
        own = (_RECORD_FILE, f"{_ENVIRONMENT_FOLDER}/") if packages else (_RECORD_FILE,)
        files = {name: path for name, path in bundle_files(folder).items() if not name.startswith(own)}
        yield ImageSource(files, packages)

    def _find(self, image: str) -> Path:
        folder = self._image_path(image)
        if not folder.is_dir():
            raise ImageNotFoundError(image, "The embedded cluster's images are made by build_model().")
        return folder

    def remove(self, image: str) -> None:
        # In one step: a folder that is there is complete.
        with contextlib.suppress(OSError), working_folder(self._images_path, _BUILDING) as working:
            folder = self._image_path(image)
            folder.rename(working / "removed")
            with contextlib.suppress(OSError), locked(self._images_path):
                folder.parent.rmdir()  # of the model's last image

    def _build(self, request: ImageRequest, building: Path) -> str:
        building.mkdir(mode=0o700)
        # What was copied counts, since the user may write to the folder meanwhile.
        take = _link_or_copy if request.owns_files else shutil.copy2
        _take_all(folder_files(Path(request.model_data_path), prefix="."), building, take)
        (building / _RECORD_FILE).write_text(_describe(request))
        image = request.tag(_digest(request, building))
        if self._image_path(image).exists():
            return image
        if request.packages:
            _make_environment(building / _ENVIRONMENT_FOLDER, request)
        with locked(self._images_path):
            final = self._image_path(image)
            if not final.exists():
                final.parent.mkdir(mode=0o700, exist_ok=True)
                building.rename(final)
        return image

    def find_deployed(self, cluster_name: str) -> list[DeployedImage]:
        deployed = []
        for folder in (folder for model in _folders_in(self._images_path) for folder in _folders_in(model)):
            with contextlib.suppress(OSError, ValueError, LookupError):  # it is being removed now
                record = json.loads((folder / _RECORD_FILE).read_text())
                if record["goes_with_version"]:
                    tag = ":".join(folder.parts[-2:])
                    deployed.append(DeployedImage(tag, ModelId(record["model_name"], record["model_version"])))
        return deployed


def _folders_in(path: Path) -> list[Path]:
    """Return what is in a folder, but for work in progress; nothing of one that another caller removes meanwhile."""
    try:
        return [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def _take_all(files: Mapping[str, Path], target: Path, take: Callable[[Path, Path], object]) -> None:
    for name, path in files.items():
        if path.is_dir():  # an empty one
            (target / name).mkdir(parents=True, exist_ok=True)
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            take(path, target / name)


def _link_or_copy(path: Path, target: Path) -> None:
    """Make a file be at *target* too, without a copy of its content where both are in one file system."""
    if not path.is_symlink():
        with contextlib.suppress(OSError):
            os.link(path, target)
            return
    shutil.copy2(path, target)


def _describe(request: ImageRequest) -> str:
    """Return the record in an image's folder: its version, its packages, and whether it is removed with the version."""
    name, version = request.model_id
    record = {
        "model_name": name,
        "model_version": version,
        "goes_with_version": request.goes_with_version,
        "packages": list(request.packages),
    }
    return json.dumps(record, sort_keys=True) + "\n"


def _digest(request: ImageRequest, folder: Path) -> str:
    """Return the digest of all that goes in: the model's files, and the packages and Python of its environment."""
    requirements, package_files = find_local_packages(request.packages)
    python = [sys.version, sys.prefix] if requirements else []
    recipe = json.dumps([request.cluster_name, sorted(requirements), python])
    return digest_context(recipe, {**folder_files(folder, prefix="model"), **package_files})


def environment_python(image_folder: Path) -> str:
    """Return the Python that runs the image's model: its own environment's, or the notebook's."""
    own = image_folder / _ENVIRONMENT_FOLDER / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _make_environment(path: Path, request: ImageRequest) -> None:
    """Create a virtual environment that sees the notebook's packages below its own, and install into it."""
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
