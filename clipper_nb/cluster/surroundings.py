"""What the caller names of the notebook's surroundings for a version to have: environment variables and files."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Union

from clipper_nb.cluster.argument_checks import check_list
from clipper_nb.errors import DeploymentError, DiskFullError, InvalidRequestError
from clipper_nb.images.context import folder_files
from clipper_nb.images.working_folder import working_folder
from clipper_nb.protocol.environment_variables import EnvironmentVariables, check_variables, choose_variables
from clipper_nb.protocol.model_folder import FILES_FOLDER

ChosenVariables = Union[Mapping[str, str], Sequence[str], None]
"""Values by name, or names of variables that are set in the notebook."""

_ALWAYS = ("TZ",)
LARGE_BYTES = 100_000_000
"""More than this, of a function or of files, travels with ``allow_large=True`` alone."""


def check_environment_variables(
    chosen: ChosenVariables, notebook: Mapping[str, str] = os.environ
) -> EnvironmentVariables:
    """Return the variables that the caller chose, and ``TZ``; no value is ever in the message of an error."""
    if chosen is None:
        chosen = {}
    elif not isinstance(chosen, Mapping):
        if isinstance(chosen, (str, bytes)):
            raise InvalidRequestError("environment_variables must be a dict of values or a list of names, not text.")
        chosen = _values_of(check_list("environment_variables", chosen), notebook)
    return check_variables({**choose_variables(_ALWAYS, notebook), **chosen})


def add_read_variables(
    known: EnvironmentVariables, names: Sequence[str], notebook: Mapping[str, str] = os.environ
) -> EnvironmentVariables:
    """Return the known variables and those of *names*, which the function's code reads, with the notebook's values."""
    return check_variables({**choose_variables(names, notebook), **known.values})


def check_files(files: Sequence[str] | None, *, allow_large: bool = False) -> tuple[str, ...]:
    """Return the paths of files and folders, each below the working directory and written in one way.

    Raises
    ------
    InvalidRequestError
        A path is absolute, leaves the working directory or does not exist, or they have more than 100 MB.
    """
    names = tuple(dict.fromkeys(_check_path(path) for path in check_list("files", () if files is None else files)))
    size_bytes = sum(path.stat().st_size for path in _find(names).values() if path.is_file())
    if size_bytes > LARGE_BYTES and not allow_large:
        raise InvalidRequestError(
            f"files={list(names)} have {size_bytes / 1e6:,.1f} MB, more than {LARGE_BYTES / 1e6:,.0f} MB. Pass "
            "allow_large=True if that is intended."
        )
    return names


def copy_files(names: Sequence[str], folder: Path) -> None:
    """Copy files and folders of the working directory into a model's folder; links are followed."""
    for name, path in _find(names).items():
        target = folder / FILES_FOLDER / name
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


@contextlib.contextmanager
def folder_for_deploy() -> Iterator[Path]:
    """Yield an empty folder that is gone after the ``with``; the next deploy removes that of a killed notebook.

    Raises
    ------
    DeploymentError
        It cannot be written into; other errors in the ``with`` are of this package.
    """
    try:
        with working_folder(Path(tempfile.gettempdir()), "clipper_nb-bundle-") as path:
            yield path
    except OSError as exc:
        kind_of_error = DiskFullError if exc.errno == errno.ENOSPC else DeploymentError
        raise kind_of_error(
            f"The model's files cannot be written into {tempfile.gettempdir()}: {exc.strerror}. Set TMPDIR to "
            "another folder."
        ) from exc


@contextlib.contextmanager
def folder_with_files(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a folder with what *folder* has, as links, and the files *names* where a replica looks for them.

    Raises
    ------
    InvalidRequestError
        *folder* has files for replicas already.
    """
    if not names or not folder.is_dir():  # of which the builder speaks
        yield folder
        return
    if (folder / FILES_FOLDER).exists():
        raise InvalidRequestError(
            f"The folder {str(folder)!r} has {FILES_FOLDER}/ already, where replicas find files. Put those of files= "
            "there, or leave files= out."
        )
    with folder_for_deploy() as path:
        for entry in folder.iterdir():
            (path / entry.name).symlink_to(entry.absolute())
        copy_files(names, path)
        yield path


def _values_of(names: Sequence[str], notebook: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in names if name not in notebook]
    if missing:
        raise InvalidRequestError(
            f"environment_variables names {', '.join(map(repr, missing))}, which the notebook's environment does not "
            "have. Set os.environ[...] first, or pass a dict with values."
        )
    return {name: notebook[name] for name in names}


def _check_path(path: object) -> str:
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidRequestError(f"files must hold paths; {path!r} is none.")
    name = PurePosixPath(os.fspath(path))
    if name.is_absolute() or ".." in name.parts or not name.parts or "\0" in str(name):
        raise InvalidRequestError(
            f"files must hold relative paths below the notebook's working directory, without '..'; {str(path)!r} is "
            "none. Copy the file there, or change the directory."
        )
    if not Path(name).exists():
        raise InvalidRequestError(f"files: there is no {str(path)!r} in the working directory {Path.cwd()}.")
    return str(name)


def _find(names: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in names:
        found.update(folder_files(Path(name), prefix=name) if Path(name).is_dir() else {name: Path(name)})
    return found
