"""What of the library travels into images: the serving code, pinned requirements, the user's certificates."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clipper_nb
from clipper_nb.errors import ImageBuildError
from clipper_nb.images import library
from clipper_nb.images.context import digest_context


def test_only_serving_code_travels():
    modules = {name.removeprefix("library/clipper_nb/").split("/")[0] for name in library.library_files()}
    assert modules == {
        "__init__.py", "errors.py", "spark_vectors.py", "version.py", "model_functions", "protocol", "runtime",
    }  # fmt: skip


def test_every_file_of_the_serving_processes_travels():
    package = Path(clipper_nb.__file__).parent
    expected = {
        "library/" + path.relative_to(package.parent).as_posix()
        for folder in ("model_functions", "protocol", "runtime")
        for path in (package / folder).rglob("*.py")
    }
    assert expected <= set(library.library_files())


def test_what_is_compiled_for_this_machine_stays_here(tmp_path, monkeypatch):
    copied = tmp_path / "clipper_nb"
    shutil.copytree(Path(clipper_nb.__file__).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(clipper_nb, "__file__", str(copied / "__init__.py"))
    (copied / "runtime" / "metrics.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
    (copied / "protocol" / "rpc.cp311-win_amd64.pyd").write_bytes(b"MZ")
    names = library.library_files()
    assert "library/clipper_nb/runtime/metrics.py" in names
    assert not [name for name in names if name.endswith((".so", ".pyd"))]


def test_serving_processes_start_from_what_travels(tmp_path):
    """With the installed package out of reach, every entry point can be imported."""
    for name, path in library.library_files().items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "import clipper_nb; assert clipper_nb.__file__.startswith(sys.argv[1]); "
        "import clipper_nb.runtime.query_frontend.app, clipper_nb.runtime.management_frontend.service, "
        "clipper_nb.runtime.model_container.client, clipper_nb.runtime.health_check"
    )
    subprocess.run([sys.executable, "-P", "-c", program, str(tmp_path / "library")], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("changed", "is_noticed"),
    [("connection.py", False), ("images/templates.py", False), ("runtime/process.py", True), ("errors.py", True)],
)
def test_digest_changes_with_serving_code_alone(tmp_path, monkeypatch, changed, is_noticed):
    """An edit of the notebook's column builds no image anew."""
    copied = tmp_path / "clipper_nb"
    shutil.copytree(Path(clipper_nb.__file__).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(clipper_nb, "__file__", str(copied / "__init__.py"))
    before = digest_context("FROM a", library.library_files())
    with open(copied / changed, "a") as file:
        file.write("# edited\n")
    assert (digest_context("FROM a", library.library_files()) != before) is is_noticed


def test_requirements_are_pinned_to_what_runs_here():
    pinned = dict(requirement.split("==") for requirement in library.library_requirements())
    assert {"cloudpickle", "msgspec", "numpy", "pysimdjson", "tornado", "uvloop"} <= set(pinned)
    assert pinned == {name: importlib.metadata.version(name) for name in pinned}


def test_extras_of_the_notebook_stay_out():
    assert not {r.split("==")[0] for r in library.library_requirements()} & {"docker", "jinja2", "pytest", "psutil"}


@pytest.fixture
def fake_requirements(monkeypatch):
    """Give a function that sets what the distribution requires."""

    def require(*requirements: str) -> None:
        monkeypatch.setattr(importlib.metadata, "requires", lambda name: list(requirements))

    return require


def test_markers_are_those_of_the_image(fake_requirements):
    """An image is Linux, also when the notebook is not."""
    fake_requirements(
        "numpy>=1.24", "pywin32; platform_system == 'Windows'", "linux-only>=2; platform_system != 'Windows'"
    )
    assert library.library_requirements() == [f"numpy=={importlib.metadata.version('numpy')}", "linux-only>=2"]


def test_package_that_is_not_installed_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(library, "_DISTRIBUTION", "clipper-nb-no-such-distribution")
    with pytest.raises(ImageBuildError, match="pip install -e"):
        library.library_requirements()


def test_no_variables_no_certificates():
    assert library.find_ca_bundle({}) is None
    assert library.find_ca_bundle({"PIP_CERT": "", "SSL_CERT_FILE": ""}) is None


@pytest.mark.parametrize("variable", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_come_from_the_usual_variables(tmp_path, variable):
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(b"certificates")
    assert library.find_ca_bundle({variable: str(bundle)}) == b"certificates"


def test_pips_own_certificates_come_first(tmp_path):
    for name in ("pip", "others"):
        (tmp_path / name).write_text(name)
    variables = {"SSL_CERT_FILE": str(tmp_path / "others"), "PIP_CERT": str(tmp_path / "pip")}
    assert library.find_ca_bundle(variables) == b"pip"


@pytest.mark.parametrize(("path", "why"), [("no-such-file", "No such file"), ("", "Is a directory")])
def test_certificates_that_cannot_be_read_are_a_clear_error(tmp_path, path, why):
    with pytest.raises(ImageBuildError, match=f"PIP_CERT is '.*{path}', which cannot be read: {why}"):
        library.find_ca_bundle({"PIP_CERT": str(tmp_path / path)})


def test_default_base_image_has_the_notebooks_python():
    assert library.default_base_image() == f"python:3.{sys.version_info.minor}-slim-bookworm"
