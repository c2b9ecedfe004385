"""The systemd user unit of a detached cluster: its text, and where it is."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from clipper_nb.errors import InvalidRequestError

logger = logging.getLogger(__name__)

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "%": "%%"})
_MODULE = "clipper_nb.service"
_VARIABLES = ("PATH", "PYTHONPATH")
"""What the cluster's programs and modules are found by; systemd has its own."""


def unit_path(cluster_name: str, variables: Mapping[str, str] = os.environ) -> Path:
    """Return the path of a cluster's unit, where the user's systemd looks for it."""
    home = variables.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "systemd" / "user" / f"clipper_nb-{cluster_name}.service"


def render_unit(cluster_name: str, root_folder: Path, variables: Mapping[str, str] = os.environ) -> str:
    """Return the unit that resumes a cluster when it starts, and keeps it when it stops."""

    def command(action: str) -> str:
        return quoted_command([sys.executable, "-m", _MODULE, action, cluster_name, str(root_folder)])

    environment = [f"{name}={variables[name]}" for name in _VARIABLES if variables.get(name)]
    lines = [
        "[Unit]",
        f"Description=clipper_nb cluster {cluster_name}",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *([f"Environment={quoted(environment)}"] if environment else []),
        f"ExecStart={command('start')}",
        f"ExecStop={command('stop')}",
        "TimeoutStartSec=infinity",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    return "\n".join(lines)


def write_unit(cluster_name: str, root_folder: Path) -> Path:
    """Write a cluster's unit and return its path."""
    path = unit_path(cluster_name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_unit(cluster_name, root_folder))
    except OSError as exc:
        raise InvalidRequestError(f"The unit {path} cannot be written: {exc.strerror}.") from exc
    if shutil.which("systemctl") is None:
        logger.warning("%s is written, but this machine has no systemctl that would run it", path)
    return path


def quoted(words: Sequence[str]) -> str:
    """Return words as systemd splits and reads them in a setting."""
    return " ".join('"' + word.translate(_ESCAPED) + '"' for word in words)


def quoted_command(words: Sequence[str]) -> str:
    """Return words as systemd splits and reads them in a command, where it would also expand variables."""
    return quoted([word.replace("$", "$$") for word in words])
