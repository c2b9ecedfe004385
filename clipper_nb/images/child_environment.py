"""The environment of processes that the notebook starts: they find libraries as it found its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_PATH = "LD_LIBRARY_PATH"
_R_TIMEOUT_S = 5.0


def child_environment() -> dict[str, str]:
    """Return this process's environment without the folders that R, if it runs here, put before all others.

    They may contain another libpython: a child would run this Python's program with that library. What the user set,
    before the start of the notebook or in a cell, stays.
    """
    variables = dict(os.environ)
    now = variables.get(_PATH)
    if now is None or "R_HOME" not in variables:
        return variables
    import psutil

    path = without_folders(now, folders_of_r(variables), psutil.Process().environ().get(_PATH, ""))
    variables.pop(_PATH)
    return {**variables, _PATH: path} if path else variables


def without_folders(path: str, added: str, at_start: str) -> str:
    """Return the list of folders *path* without the list *added* wherever it is in it, but in what it ended with
    *at_start*."""
    folders, run, kept = path.split(":"), added.split(":"), at_start.split(":") if at_start else []
    if not added:
        return path
    if folders[len(folders) - len(kept) :] != kept:
        kept = []
    rest = folders[: len(folders) - len(kept)]
    for at in range(len(rest) - len(run), -1, -1):
        if rest[at : at + len(run)] == run:
            del rest[at : at + len(run)]
    return ":".join([*rest, *kept])


def folders_of_r(variables: Mapping[str, str]) -> str:
    """Return what the R of ``R_HOME`` adds to the library path: its own settings say it. Empty if they are not there.

    *variables* are those of the process in which R runs.
    """
    settings = Path(variables["R_HOME"], "etc", "ldpaths")
    if not settings.is_file():
        return ""
    shown = '. "$0" && printf %s "$R_LD_LIBRARY_PATH"'
    try:
        told = subprocess.run(
            ["sh", "-c", shown, str(settings)], env={**variables, _PATH: ""}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="surrogateescape", timeout=_R_TIMEOUT_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout
