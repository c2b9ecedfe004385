"""``python -m clipper_nb.runtime.model_container.r_packages NAME...``: install R packages while an image is built.

Debian has compiled versions of many; the others are compiled from CRAN, which needs compilers and minutes.
"""

from __future__ import annotations

import subprocess
import sys

_CRAN = "https://cloud.r-project.org"


def main() -> None:
    """Install each named package, or fail."""
    wanted = sys.argv[1:]
    _run("apt-get", "update", "-q")
    debian = {name: f"r-cran-{name.lower()}" for name in wanted}
    known = [name for name in wanted if _is_in_debian(debian[name])]
    others = [name for name in wanted if name not in known]
    packages = [debian[name] for name in known] + (["r-base-dev"] if others else [])
    _run("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
    if others:
        names = ", ".join(f"'{name}'" for name in others)
        _run("Rscript", "-e", f"options(warn = 2); install.packages(c({names}), repos = '{_CRAN}')")
    _run("sh", "-c", "rm -rf /var/lib/apt/lists/*")


def _is_in_debian(package: str) -> bool:
    return subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).returncode == 0


def _run(*command: str) -> None:
    finished = subprocess.run(command, check=False)
    if finished.returncode != 0:
        raise SystemExit(finished.returncode)


if __name__ == "__main__":
    main()
