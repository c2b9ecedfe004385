"""A virtual environment for each peer, made when it is first needed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
ENVIRONMENTS = FOLDER.parent / ".environments"
TIMEOUT_S = 1200.0

_SAME_FOR_ALL = ("numpy", "scikit-learn")
_STAMP = "installed.txt"


class InstallError(Exception):
    """An environment cannot be made."""


def make_environment(name: str, folder: Path = FOLDER, same: Sequence[str] = _SAME_FOR_ALL) -> Path:
    """Return the Python of the environment of *name*, which has the packages of its requirements file in *folder*.

    `make lock` keeps the versions of everything that they need in the constraints file beside it. The libraries of
    *same* are those of this interpreter.
    """
    requirements, constraints = folder / name / "requirements.txt", folder / name / "constraints.txt"
    wanted = "\n".join([sys.version, requirements.read_text(), constraints.read_text(), *same_for_all(same)])
    environment = ENVIRONMENTS / name
    python = environment / "bin" / "python"
    stamp = environment / _STAMP
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"installing {name}", flush=True)
        make_empty(environment)
        # A tenth of the modules is imported at all, and compiled then.
        install(python, ["--no-compile", "-r", str(requirements), "-c", str(constraints), *same_for_all(same)])
        stamp.write_text(wanted)
    return python


def same_for_all(packages: Sequence[str] = _SAME_FOR_ALL) -> list[str]:
    """Return the libraries below every model, in the versions of this interpreter: they make the model the same."""
    return [f"{package}=={importlib.metadata.version(package)}" for package in packages]


def make_empty(environment: Path) -> None:
    """Make an environment without packages, in place of one that is there; this interpreter's pip installs into it."""
    shutil.rmtree(environment, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(environment)], {})


def install(python: Path, arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Run ``pip install`` for an environment."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    _run([*command, "--quiet", "--disable-pip-version-check", *arguments], variables or {})


def _run(command: list[str], variables: Mapping[str, str]) -> None:
    try:
        finished = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise InstallError(anonymous(str(exc))) from exc
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or finished.stdout.strip().splitlines() or ["no output"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise InstallError(anonymous(errors[-1]))


def get_versions(python: Path | str) -> dict[str, str]:
    """Return all packages of an environment with their versions."""
    code = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    )
    finished = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=60, check=True)
    versions: dict[str, str] = json.loads(finished.stdout)
    return versions


def anonymous(text: str) -> str:
    """Return *text* without addresses and paths, which tell of this machine alone."""
    text = re.sub(r"\w+://\S+", "<address>", text)
    return re.sub(r"(?<![\w.])/[\w.+-]+(?:/[\w.+-]*)+", lambda path: Path(path[0]).name, text)
