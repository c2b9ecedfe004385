"""The parts of this package that go into images: the serving processes' installed code, and what that requires."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clipper_nb.errors import ImageBuildError
from clipper_nb.images.context import digest_context, folder_files

_DISTRIBUTION = "clipper-nb"
_SERVING_CODE = ("__init__.py", "metrics.py", "spark_vectors.py", "version.py")
_SERVING_PACKAGES = ("errors", "model_functions", "protocol", "runtime")
_COMPILED_SUFFIXES = (".so", ".pyd")
_SHARED_LIBRARY = re.compile(rb"[0-9a-f]+__mypyc")
_PACKAGE_FOLDER = Path(__file__).parents[1]
_KIND_REQUIREMENTS = {
    "r": {"rpy2-rinterface": ">=3.6,<3.6.7"},
    "pyspark": {"pyspark": "", "pandas": "", "pyarrow": ""},
}
"""The distributions that the adapter of each kind of model needs; their versions, where none is installed here."""
_WHERE_INSTALLED = ("pandas", "pyarrow")
"""Distributions that an image has only if the notebook has them."""
_CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class Library:
    """The serving processes' code as it was when it was read."""

    files: Mapping[str, Path]
    is_compiled: bool
    digest: str
    """Identifies the content of the files."""

    @classmethod
    def read(cls) -> Library:
        compiled = compiled_files()
        files = {**library_files(), **compiled}
        return cls(files, bool(compiled), digest_context("", files))


@functools.cache
def library_of_this_process() -> Library:
    """Return the code as it was when this process asked first.

    Later deploys need not read hundreds of files again to learn which image has them, and a library that is upgraded
    below a notebook does not give its next version a release that is not the notebook's.
    """
    return Library.read()


def library_files() -> dict[str, Path]:
    """Return the sources of the serving processes; the notebook's column stays out: its changes rebuild nothing."""
    return {name: path for name, path in _serving_files().items() if path.suffix not in _COMPILED_SUFFIXES}


def compiled_files() -> dict[str, Path]:
    """Return the files of the serving processes that are compiled here (decision 0026) for the system of images.

    There are none on systems other than Linux; an image for another processor looks for other names, and reads the
    sources.
    """
    ending = sysconfig.get_config_var("EXT_SUFFIX")
    if sys.platform != "linux":
        return {}
    modules = {name: path for name, path in _serving_files().items() if path.name.endswith(ending)}
    if not modules:
        return {}
    # Each module only opens one library shared by all, which is beside the package.
    found = _SHARED_LIBRARY.search(next(iter(modules.values())).read_bytes())
    shared = _PACKAGE_FOLDER.parent / f"{found[0].decode()}{ending}" if found else None
    return {**modules, f"library/{shared.name}": shared} if shared is not None and shared.is_file() else {}


def _serving_files() -> dict[str, Path]:
    files = {f"library/clipper_nb/{name}": _PACKAGE_FOLDER / name for name in _SERVING_CODE}
    for name in _SERVING_PACKAGES:
        files.update(folder_files(_PACKAGE_FOLDER / name, prefix=f"library/clipper_nb/{name}"))
    return files


def library_requirements() -> list[str]:
    """Return what the base installation requires, each pinned to the version that runs here.

    Raises
    ------
    ImageBuildError
        The package is not installed, only imported from a folder.
    """
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in importlib.metadata.requires(_DISTRIBUTION) or ()]
    except importlib.metadata.PackageNotFoundError as exc:
        raise ImageBuildError(
            f"Images need to know what clipper_nb requires, but no distribution '{_DISTRIBUTION}' is installed here. "
            "Install it: pip install -e . in a checkout."
        ) from exc
    # An image is Linux, whatever system the notebook runs on.
    in_image = {"platform_system": "Linux", "sys_platform": "linux", "os_name": "posix", "extra": ""}
    wanted = [r for r in requirements if r.marker is None or r.marker.evaluate(in_image)]
    return [_pin(requirement.name, str(requirement.specifier)) for requirement in wanted]


def kind_requirements(kind: str) -> list[str]:
    """Return what the adapter of a kind of model requires besides, pinned like the rest."""
    return [_pin(name, specifier) for name, specifier in _KIND_REQUIREMENTS.get(kind, {}).items() if _is_wanted(name)]


def _is_wanted(name: str) -> bool:
    return name not in _WHERE_INSTALLED or importlib.util.find_spec(name) is not None


def _pin(name: str, specifier: str) -> str:
    try:
        return f"{name}=={importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:  # needed only on Linux, and this is not Linux
        return f"{name}{specifier}"


def find_ca_bundle(variables: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the certificates that the user trusts instead of the usual ones, or ``None`` when none are set."""
    for name in _CA_VARIABLES:
        path = variables.get(name, "")
        if path:
            try:
                return Path(path).read_bytes()
            except OSError as exc:
                raise ImageBuildError(f"{name} is {path!r}, which cannot be read: {exc.strerror}.") from exc
    return None


def python_minor() -> tuple[int, int]:
    """Return the notebook's Python minor version: no other version can read what it pickles."""
    return sys.version_info[:2]


def default_base_image() -> str:
    """Return the upstream image that has the notebook's Python minor version."""
    return "python:{}.{}-slim-bookworm".format(*python_minor())
