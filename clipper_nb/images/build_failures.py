"""Turns the log of a failed build into the error that says what to do. (pure)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from clipper_nb.errors import BaseImageError, DiskFullError, ImageBuildError, PackageInstallError
from clipper_nb.images.install_steps import InstallStep
from clipper_nb.images.templates import WRONG_PYTHON

_LOG_TAIL_LINES = 30
_WRONG_PYTHON = re.compile(rf"^{re.escape(WRONG_PYTHON)} (\d+\.\d+)", re.MULTILINE)
_NO_USABLE_PIP = re.compile(r"No module named '?pip\b|externally-managed-environment")

NO_SPACE = "no space left on device"
HOW_TO_FREE = "`docker system df` shows what uses it; `docker image prune` frees what no image needs."


@dataclass(frozen=True)
class FailedBuild:
    """The facts about a build that failed."""

    image: str
    base_image: str
    python_minor: tuple[int, int]
    installs: Sequence[InstallStep]
    step: str
    """The instruction that failed."""
    log: str
    """The output of that instruction."""
    error: str
    """The engine's message."""


def explain_failed_build(failed: FailedBuild) -> ImageBuildError:
    """Return the error to raise."""
    tail = "\n".join(failed.log.splitlines()[-_LOG_TAIL_LINES:])
    words = failed.error.strip().rstrip(".") + "."
    wrong_python = _WRONG_PYTHON.search(failed.log)
    if wrong_python is not None:
        return BaseImageError(
            f"The base image '{failed.base_image}' has Python {wrong_python[1]} and the notebook "
            "{}.{}: what one minor version pickles, another cannot read. Use a base image with the notebook's "
            "version.".format(*failed.python_minor)
        )
    if NO_SPACE in f"{failed.log}\n{failed.error}".lower():
        return DiskFullError(f"No space is left on the Docker Engine, building '{failed.image}'. {HOW_TO_FREE}", tail)
    for install in failed.installs:
        if install.is_in(failed.step) and not _has_no_pip(install, failed.log):
            return PackageInstallError(install.explain_failure(failed.image), tail)
    if failed.step.startswith(("FROM ", "RUN ")):  # all that we run is the base image's Python
        return BaseImageError(
            f"The base image '{failed.base_image}' cannot be built upon: {words} It must be a Linux image with "
            "`python` on its PATH and a pip in it that may install.",
            tail,
        )
    return ImageBuildError(f"The image '{failed.image}' could not be built: {words}", tail)


def _has_no_pip(install: InstallStep, log: str) -> bool:
    """Return whether the base image is at fault, not the packages."""
    return install.installer.is_pip and _NO_USABLE_PIP.search(log) is not None
