"""Ways to install what a model needs: the command of a build's step, and the message when it fails. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Installer:
    """A program that installs packages into an image."""

    command: tuple[str, ...]
    """The words before the packages."""
    mark: str
    """The text that identifies its own instructions."""
    failure: str
    """The message for a failed step, with ``{image}`` and ``{packages}``."""
    is_pip: bool = False
    """Whether it needs pip's settings, and the files of packages that are on the notebook's machine."""


APT = Installer(
    command=(
        "sh",
        "-c",
        'apt-get update -q && apt-get install -y -q --no-install-recommends -- "$@" && rm -rf /var/lib/apt/lists/*',
        "clipper_nb.system_packages",
    ),
    mark="clipper_nb.system_packages",
    failure="apt could not install the system packages of '{image}': {packages}. They must be names of Debian "
    "packages.",
)
R = Installer(
    command=("python", "-m", "clipper_nb.runtime.model_container.r_packages"),
    mark="clipper_nb.runtime.model_container.r_packages",
    failure="The R packages of '{image}' cannot be installed: {packages}.",
)
SECRET_SETTINGS = "ftp_proxy"
"""A build argument that stays out of an image's history: the engine hides those that name proxies.

Packages do not come by FTP, so its value is free for pip's settings that have a password: a mark, and JSON in base 64.
"""
SECRET_SETTINGS_MARK = "clipper_nb:"
_RUN_PIP = (
    "import base64, json, os, runpy, sys; "
    f"mark, hidden = {SECRET_SETTINGS_MARK!r}, os.environ.get({SECRET_SETTINGS!r}, ''); "
    "hidden.startswith(mark) and os.environ.update(json.loads(base64.b64decode(hidden[len(mark):]))); "
    "del sys.argv[0]; runpy.run_module('pip', run_name='__main__', alter_sys=True)"
)
PIP = Installer(
    command=(
        "python", "-c", _RUN_PIP, "pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--no-input",
        "--progress-bar", "off", "--",
    ),
    mark='"pip", "install"',
    failure="pip could not install the packages of '{image}': {packages}.",
    is_pip=True,
)  # fmt: skip


@dataclass(frozen=True)
class InstallStep:
    """One step of a build: some packages at once."""

    installer: Installer
    packages: Sequence[str]
    """As the user named them."""
    arguments: Sequence[str] | None = None
    """As the build names them, where that differs: files of packages are elsewhere in the build."""

    @property
    def command(self) -> list[str]:
        """What the step runs. The order of packages does not matter to installers, and must not change an image."""
        return [*self.installer.command, *sorted(self.packages if self.arguments is None else self.arguments)]

    def is_in(self, instruction: str) -> bool:
        """Return whether *instruction* of a Dockerfile is this step."""
        return self.installer.mark in instruction

    def explain_failure(self, image: str) -> str:
        """Return the message for a build of *image* that failed in this step."""
        return self.installer.failure.format(image=image, packages=", ".join(self.packages))
