"""What a measurement depends on besides the code, without anything that names this machine."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil

from clipper_nb.runtime.query_frontend import predictor


def describe_machine() -> dict[str, Any]:
    """Return processor, memory, versions, date and revision."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
        "compiled": is_compiled(),
        "wrk": _wrk_version(),
        "date": datetime.date.today().isoformat(),
        "revision": _revision(),
    }


def is_compiled() -> bool:
    """Return whether what a query passes through runs as C, or is read by Python."""
    return not str(predictor.__file__).endswith(".py")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = re.findall(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        if models:
            return str(models[0])
    return platform.processor() or "unknown processor"


def _wrk_version() -> str:
    try:
        printed = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False, timeout=10)
    except FileNotFoundError:
        return "none"
    return " ".join((printed.stdout + printed.stderr).split()[:2])


def _revision() -> str:
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        revision = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, timeout=10
        )
    except OSError:
        return "unknown"
    return (revision.stdout.strip() or "unknown") + (" with changes" if changes.stdout.strip() else "")
