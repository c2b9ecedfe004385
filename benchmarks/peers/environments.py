"""A virtual environment for each peer, made when it is first needed."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ENVIRONMENTS = FOLDER.parent / ".environments"
TIMEOUT_S = 1200.0

_SAME_FOR_ALL = ("numpy", "scikit-learn")
_STAMP = "installed.txt"


class InstallError(Exception):
    """A peer cannot be installed."""


def make_environment(name: str) -> Path:
    """Return the Python of the environment of *name*, which has the packages of its requirements file.

    `make lock` keeps the versions of everything that they need in the constraints file beside it.
    The model is the same for all only if the libraries below it are: they come in the versions of this interpreter.
    """
    requirements, constraints = FOLDER / name / "requirements.txt", FOLDER / name / "constraints.txt"
    exact = [f"{package}=={importlib.metadata.version(package)}" for package in _SAME_FOR_ALL]
    wanted = "\n".join([sys.version, requirements.read_text(), constraints.read_text(), *exact])
    environment = ENVIRONMENTS / name
    stamp = environment / _STAMP
    python = environment / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"installing {name}", flush=True)
    shutil.rmtree(environment, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(environment)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-r", str(requirements), "-c", str(constraints), *exact])
    stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
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
