"""A cluster of an older release: a copy of this package that says so, run by processes of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import clipper_nb
from clipper_nb import ClipperConnection, DockerContainerManager
from tests.support.clusters import leftovers, new_cluster_name, new_manager, release

OLD_VERSION = "0.0.9"

_START = """
import sys
from functools import partial
import clipper_nb
from clipper_nb import ClipperConnection, DockerContainerManager, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

assert clipper_nb.__version__ == "0.0.9"
kind, name = sys.argv[1:]
ports = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0}
managers = {"docker": DockerContainerManager, "local": partial(LocalContainerManager, detach=True)}
manager = managers[kind](name, **ports)
conn = ClipperConnection(manager)
conn.start_clipper()
create_endpoint(conn, "m", "doubles", lambda inputs: ["old" for _ in inputs], slo_micros=5_000_000)
"""


@contextlib.contextmanager
def old_cluster(kind: str, folder: Path) -> Iterator[ClipperConnection]:
    """Give a connection of this release to a cluster of an old one, whose model 'm' serves."""
    package = Path(clipper_nb.__file__).parent
    shutil.copytree(package, folder / "clipper_nb", ignore=shutil.ignore_patterns("__pycache__"))
    if (package.parent / "container_templates").is_dir():
        shutil.copytree(package.parent / "container_templates", folder / "container_templates")
    version = folder / "clipper_nb" / "version.py"
    version.write_text(version.read_text().replace(clipper_nb.__version__, OLD_VERSION))
    manager = new_manager(kind, new_cluster_name())
    conn = ClipperConnection(manager)
    try:
        subprocess.run(
            [sys.executable, "-c", _START, kind, manager.cluster_name],
            check=True, timeout=300, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "TMPDIR": tempfile.gettempdir()},
        )  # fmt: skip
        conn.connect()
        yield conn
    finally:
        conn.stop_all()
        assert leftovers(manager) == []
        if isinstance(manager, DockerContainerManager):
            _remove_base_images(manager)
        release(manager)


def _remove_base_images(manager: DockerContainerManager) -> None:
    manager.remove_images()
    for image in manager.docker_client.images.list(filters={"label": "ai.clipper.package_version=" + OLD_VERSION}):
        for tag in image.tags:
            manager.docker_client.images.remove(tag)
