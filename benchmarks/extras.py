"""What each extra of the package costs: the size of an environment that has it, and the time that an import takes.

Each extra is installed with the pinned versions into an empty environment without pip. The size is that of its
``site-packages``, without the bytecode that Python writes later. The import time is processor time, which other
programs do not lengthen: the median of fresh processes with bytecode and files in memory, less that of one that imports
nothing.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
NUM_PROCESSES = 11
INSTALL_TIMEOUT_S = 1200
# What an extra is for, by its name; those for tests, benchmarks and documentation are none of a user's.
IMPORTS: Mapping[str, str] = {
    "": "from clipper_nb import ClipperConnection",
    "notebook": "from clipper_nb import ClipperConnection, DockerContainerManager, LocalContainerManager",
    "async": "from clipper_nb.client import AsyncClient",
    "tls": "from clipper_nb import TlsFiles",
    "kubernetes": "from clipper_nb import KubernetesContainerManager; import lightkube",
    "pyspark": "from clipper_nb.deployers.pyspark import create_endpoint; import pyspark",
    "r": "from clipper_nb.deployers.r import create_endpoint; import rpy2.rinterface_lib.openrlib",
}


@dataclass(frozen=True)
class Cost:
    """What one extra costs; ``None`` where it could not be installed."""

    extra: str
    num_packages: int | None
    size_bytes: int | None
    import_s: float | None

    def row(self) -> str:
        name = f"`clipper-nb[{self.extra}]`" if self.extra else "`clipper-nb`"
        statement = f"`{IMPORTS[self.extra]}`"
        if self.size_bytes is None or self.import_s is None:
            return f"| {name} | cannot be installed on this machine | | {statement} | |"
        size, time = f"{self.size_bytes / 1e6:.0f} MB", f"{self.import_s * 1000:.0f} ms"
        return f"| {name} | {self.num_packages} | {size} | {statement} | {time} |"


def measure(extra: str, wheel: Path, folder: Path) -> Cost:
    """Install *extra* of *wheel* into an empty environment in *folder*, and return what it costs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    wanted = f"clipper-nb[{extra}] @ file://{wheel}" if extra else str(wheel)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet"]
    constraint = ["--constraint", CHECKOUT / "constraints.txt"]
    installed = subprocess.run([*pip, "--no-compile", *constraint, wanted], check=False, timeout=INSTALL_TIMEOUT_S)
    if installed.returncode != 0:
        return Cost(extra, None, None, None)
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    size_bytes = sum(path.lstat().st_size for path in packages.rglob("*") if path.is_file())
    num_packages = sum(1 for _ in packages.glob("*.dist-info"))
    import_s = median_s(python, IMPORTS[extra]) - median_s(python, "pass")
    return Cost(extra, num_packages, size_bytes, import_s)


def median_s(python: Path, statement: str) -> float:
    """Return the processor time of a process that only executes *statement*; the first writes bytecode and is apart."""
    times_s = []
    without = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    for _ in range(NUM_PROCESSES + 1):
        before_s = children_cpu_s()
        subprocess.run([python, "-c", statement], check=True, timeout=120, cwd=python.parent, env=environment)
        times_s.append(children_cpu_s() - before_s)
    return statistics.median(times_s[1:])


def children_cpu_s() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def render(costs: list[Cost]) -> str:
    """Return the page of the documentation."""
    today = datetime.datetime.now(tz=datetime.timezone.utc).date()
    lines = [
        "# Extras: size and import time",
        "",
        f"Written by `benchmarks/extras.py`, which `make dist` runs, on {today}, on {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}.",
        "",
        "| install | packages | size | import | time |",
        "|---|---|---|---|---|",
        *(cost.row() for cost in costs),
        "",
        "Each row is an empty environment with the versions of `constraints.txt`. The size is that of `site-packages` "
        f"without bytecode. The time is that on a processor: the median of {NUM_PROCESSES} processes, with bytecode "
        "and files in memory, less that of a Python that imports nothing. The extras of frameworks are in "
        "[frameworks.md](frameworks.md#sizes-and-times).",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure each extra and print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path, help="the wheel of this package")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page instead of printing it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = [measure(extra, options.wheel.resolve(), Path(folder) / (extra or "base")) for extra in IMPORTS]
    page = render(costs)
    if options.write:
        options.write.write_text(page)
    else:
        sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
