"""Two builds of clipper_nb, each installed from its source into an environment of its own, with the same libraries."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from peers.environments import ENVIRONMENTS, FOLDER, InstallError, install, make_empty, same_for_all

BASELINE_REVISION = "5c9573d"
"""The state before deploys were made fast."""

ROOT = FOLDER.parents[1]
CONSTRAINTS = ROOT / "constraints.txt"

_PACKAGED = ("clipper_nb", "container_templates", "pyproject.toml", "README.md", "LICENSE", "mypyc.ini")
"""Those that a revision has: older ones have no settings for the compiler."""
_REQUIRED = re.compile(r"^(?:dependencies|notebook) = \[$.*?^\]$", re.MULTILINE | re.DOTALL)
_LIBRARIES_STAMP, _BUILD_STAMP = "libraries.txt", "build.txt"


def make_build(name: str, revision: str | None, *, compiled: bool) -> Path:
    """Return the Python of an environment that has clipper_nb as of a revision, or as it is in this checkout.

    Both builds are wheels, both or none of them compiled, beside libraries of the same versions. What was installed
    before and has not changed is used again.
    """
    with tempfile.TemporaryDirectory(prefix="bench-source-") as temporary:
        source = Path(temporary)
        if revision is None:
            copy_checkout(source)
        else:
            extract_revision(revision, source)
        return _install(name, source, compiled=compiled)


def extract_revision(revision: str, folder: Path) -> None:
    """Write what is packaged of a revision, from the repository's history."""
    listed = _git("ls-tree", "--name-only", revision)
    finished = _git(
        "archive", "--format=tar", revision, *(name for name in _PACKAGED if name in listed.stdout.decode().split())
    )
    if finished.returncode:
        raise InstallError(
            f"Revision {revision} is not in this checkout: {finished.stderr.decode().strip()}. "
            "Fetch the whole history (`git fetch --unshallow`), or name another revision with --against."
        )
    with tarfile.open(fileobj=io.BytesIO(finished.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, timeout=60)


def copy_checkout(folder: Path) -> None:
    """Write what is packaged of this checkout, with changes that are not committed."""
    for name in _PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, folder / name)


def digest(folder: Path) -> str:
    """Return a digest of the names and contents of all files of a folder."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def _install(name: str, source: Path, *, compiled: bool) -> Path:
    environment = ENVIRONMENTS / f"build-{name}"
    python = environment / "bin" / "python"
    required = _REQUIRED.findall((source / "pyproject.toml").read_text())
    libraries = "\n".join([sys.version, *required, CONSTRAINTS.read_text(), *same_for_all()])
    build = f"{digest(source)} {'compiled' if compiled else 'interpreted'}"
    variables = {
        "PIP_CONSTRAINT": str(CONSTRAINTS), "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS),
        "HATCH_BUILD_HOOK_ENABLE_MYPYC": "1" if compiled else "0",
    }  # fmt: skip
    if not _has(environment / _LIBRARIES_STAMP, libraries):
        print(f"installing the libraries of the build {name}", flush=True)
        make_empty(environment)
        install(python, same_for_all())  # earlier builds are only compiled beside NumPy
        install(python, [f"{source}[notebook]", *same_for_all()], variables)
        (environment / _LIBRARIES_STAMP).write_text(libraries)
    elif not _has(environment / _BUILD_STAMP, build):
        print(f"installing the build {name}", flush=True)
        install(python, ["--no-deps", "--force-reinstall", str(source)], variables)
    (environment / _BUILD_STAMP).write_text(build)
    if is_compiled(python) != compiled:
        raise InstallError(f"The build {name} should be {'compiled' if compiled else 'interpreted'}, and is not.")
    return python


def _has(stamp: Path, content: str) -> bool:
    return stamp.exists() and stamp.read_text() == content


def is_compiled(python: Path) -> bool:
    """Return whether the hot path of an environment's clipper_nb is compiled."""
    code = "from clipper_nb.runtime.query_frontend import predictor; print(predictor.__file__)"
    finished = subprocess.run(
        [str(python), "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60, cwd=ENVIRONMENTS
    )
    return not finished.stdout.strip().endswith(".py")
