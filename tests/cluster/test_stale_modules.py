"""A checkout whose compiled modules are older than its sources starts no cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clipper_nb.cluster.stale_modules import refuse_stale_modules
from clipper_nb.errors import ClusterStartError


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A checkout with one module, compiled a minute after it was written."""
    (tmp_path / "pyproject.toml").touch()
    folder = tmp_path / "package" / "inner"
    folder.mkdir(parents=True)
    for name, written_s in (("wire.py", 1000), ("wire.cpython-311-x86_64-linux-gnu.so", 1060), ("plain.py", 2000)):
        (folder / name).touch()
        os.utime(folder / name, (written_s, written_s))
    return tmp_path / "package"


def test_modules_compiled_after_their_sources_are_accepted(package: Path) -> None:
    refuse_stale_modules(package)
    refuse_stale_modules()


def test_source_changed_after_compilation_is_named_with_advice(package: Path) -> None:
    os.utime(package / "inner" / "wire.py", (1100, 1100))
    with pytest.raises(ClusterStartError, match=r"^package/inner/wire\.py was compiled before .* `make compile`"):
        refuse_stale_modules(package)


def test_a_source_that_is_gone_is_named(package: Path) -> None:
    (package / "inner" / "wire.py").unlink()
    with pytest.raises(ClusterStartError, match=r"wire\.py"):
        refuse_stale_modules(package)


def test_an_installed_package_is_left_alone(package: Path) -> None:
    (package.parent / "pyproject.toml").unlink()
    os.utime(package / "inner" / "wire.py", (1100, 1100))
    refuse_stale_modules(package)
