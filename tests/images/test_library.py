"""What of the library travels into images: the serving code, pinned requirements, the user's certificates."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import clipper_nb
from clipper_nb.errors import ImageBuildError
from clipper_nb.images import library
from clipper_nb.images.context import digest_context
from clipper_nb.protocol import rpc


def test_only_serving_code_travels():
    modules = {name.removeprefix("library/clipper_nb/").split("/")[0] for name in library.library_files()}
    assert modules == {
        "__init__.py", "errors", "metrics.py", "spark_vectors.py", "version.py", "model_functions", "protocol",
        "runtime",
    }  # fmt: skip


def test_every_file_of_the_serving_processes_travels():
    package = Path(clipper_nb.__file__).parent
    expected = {
        "library/" + path.relative_to(package.parent).as_posix()
        for folder in ("errors", "model_functions", "protocol", "runtime")
        for path in (package / folder).rglob("*.py")
    }
    assert expected <= set(library.library_files())


ENDING = sysconfig.get_config_var("EXT_SUFFIX")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the package's sources, which passes for the installed one."""
    folder = tmp_path / "installed" / "clipper_nb"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(Path(clipper_nb.__file__).parent, folder, ignore=ignored)
    monkeypatch.setattr(library, "_PACKAGE_FOLDER", folder)
    return folder


def test_compiled_modules_travel_with_their_shared_library(copied):
    (copied / "runtime" / f"metrics{ENDING}").write_bytes(b"\x7fELF\0init\x000123456789abcdef__mypyc\0")
    (copied / "protocol" / "rpc.cp311-win_amd64.pyd").write_bytes(b"MZ")
    for name in ("0123456789abcdef__mypyc", "fedcba9876543210__mypyc"):  # the other one is of another package
        (copied.parent / f"{name}{ENDING}").write_bytes(b"\x7fELF")
    assert {name: path.parent for name, path in library.compiled_files().items()} == {
        f"library/clipper_nb/runtime/metrics{ENDING}": copied / "runtime",
        f"library/0123456789abcdef__mypyc{ENDING}": copied.parent,
    }
    sources = library.library_files()
    assert "library/clipper_nb/runtime/metrics/counters.py" in sources
    assert not [name for name in sources if name.endswith((".so", ".pyd"))]


def test_incomplete_compiled_modules_do_not_travel(copied):
    assert library.compiled_files() == {}
    (copied / "runtime" / f"metrics{ENDING}").write_bytes(b"\x7fELF\x000123456789abcdef__mypyc\0")
    assert library.compiled_files() == {}


def _start_from(files: dict[str, Path], folder: Path) -> str:
    """Import every entry point with the installed package out of reach; return where the RPC messages came from."""
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    program = (
        "import sys; sys.path[0] = sys.argv[1]; "
        "import clipper_nb; assert clipper_nb.__file__.startswith(sys.argv[1]); "
        "import clipper_nb.runtime.query_frontend.app, clipper_nb.runtime.management_frontend.service, "
        "clipper_nb.runtime.model_container.client, clipper_nb.runtime.health_check; "
        "print(sys.modules['clipper_nb.protocol.rpc'].__file__)"
    )
    command = [sys.executable, "-c", program, str(folder / "library")]
    return subprocess.run(command, check=True, cwd=folder, stdout=subprocess.PIPE, text=True).stdout.strip()


@pytest.mark.slow
def test_serving_processes_start_from_what_travels(tmp_path):
    path = _start_from(library.library_files(), tmp_path)
    assert path == str(tmp_path / "library/clipper_nb/protocol/rpc.py")


@pytest.mark.slow
def test_serving_processes_are_compiled_there_as_here(tmp_path):
    path = _start_from({**library.library_files(), **library.compiled_files()}, tmp_path)
    assert path == str(tmp_path / "library/clipper_nb/protocol" / Path(rpc.__file__).name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "is_noticed"),
    [("connection.py", False), ("images/templates.py", False), ("runtime/process.py", True), ("errors/base.py", True)],
)
def test_digest_changes_with_serving_code_alone(copied, changed, is_noticed):
    """An edit of the notebook's column builds no image anew."""
    before = digest_context("FROM a", library.library_files())
    with open(copied / changed, "a") as file:
        file.write("# edited\n")
    assert (digest_context("FROM a", library.library_files()) != before) is is_noticed


@pytest.mark.slow
def test_process_keeps_the_code_that_it_read_first(copied):
    """A notebook whose library is upgraded below it builds no image of another release."""
    library.library_of_this_process.cache_clear()
    try:
        first = library.library_of_this_process()
        with open(copied / "runtime/process.py", "a") as file:
            file.write("# edited\n")
        assert library.library_of_this_process() is first
        assert library.Library.read().digest != first.digest
    finally:
        library.library_of_this_process.cache_clear()


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
