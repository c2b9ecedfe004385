"""The wheel alone is enough: it has every file, builds its images away from any checkout, and serves a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from clipper_nb import DockerContainerManager
from tests.support.clusters import leftovers, new_cluster_name, release

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[1]

PROGRAM = """
import json, sys
import clipper_nb
from clipper_nb import ClipperConnection, DockerContainerManager
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.deployers.r_session import r_source
from clipper_nb.images.library import library_files
from clipper_nb.images.templates import templates_folder
from clipper_nb.model_functions.r_function import outputs_source
from clipper_nb.model_functions.r_metrics import metrics_source

name = sys.argv[1]
manager = DockerContainerManager(name, clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
with ClipperConnection(manager) as conn:
    create_endpoint(conn, "total", "doubles", lambda inputs: [x.sum() for x in inputs], slo_micros=5_000_000)
    prediction = conn.predict("total", [1.0, 2.0])
    with conn.dashboard() as dashboard:
        panels = repr(dashboard)
    print(json.dumps({
        "panels": panels,
        "output": prediction.output, "default": prediction.default, "package": clipper_nb.__file__,
        "templates": str(templates_folder()), "library": sorted(map(str, library_files().values())),
        "r": [r_source("capture.R"), r_source("columns.R"), outputs_source(), metrics_source()],
    }))
"""


def _run(command: list[str], **arguments: object) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110, **arguments)  # type: ignore[call-overload]
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return str(finished.stdout)


PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    _run([*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)])
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture
def python(tmp_path: Path, wheel: Path) -> str:
    """The Python of an environment that has the wheel, with what a notebook needs, and nothing else."""
    _run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "environment")])
    python = str(tmp_path / "environment" / "bin" / "python")
    constraints = ["--constraint", str(CHECKOUT / "constraints.txt")]
    _run([*PIP, "--python", python, "install", "--quiet", "--no-compile", *constraints, f"{wheel}[notebook]"])
    return python


def test_wheel_has_every_file(wheel: Path) -> None:
    homes = {"clipper_nb": "clipper_nb", "container_templates": "clipper_nb/container_templates"}
    expected = {
        f"{home}/{path.relative_to(CHECKOUT / folder)}"
        for folder, home in homes.items()
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so")
    }
    assert {Path(name).suffix for name in expected} >= {".py", ".R", ".j2", ".json", ".typed"}
    assert sorted(expected - set(zipfile.ZipFile(wheel).namelist())) == []


@pytest.mark.docker
@pytest.mark.long
def test_installed_wheel_deploys_on_docker(python: str, tmp_path: Path) -> None:
    """``test_wheel_has_every_file`` stands for it, and that of ``images/test_library.py`` of processes that start from
    the files that travel; ``make dist`` runs the demo from each wheel."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    manager = DockerContainerManager(new_cluster_name())
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        printed = _run([python, "-c", PROGRAM, manager.cluster_name], cwd=elsewhere, env=environment)
        assert leftovers(manager) == []
    finally:
        manager.stop_all(graceful=False)
        release(manager)
    told = json.loads(printed)
    assert (told["output"], told["default"]) == (3.0, False)
    assert told["panels"].startswith("<Dashboard of cluster")
    assert ["function(" in text for text in told["r"]] == [True, True, True]
    installed = str(tmp_path / "environment")
    assert [
        path for path in (told["package"], told["templates"], *told["library"]) if not path.startswith(installed)
    ] == []
