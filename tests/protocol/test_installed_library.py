"""The version of what would be imported, whatever its distribution is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipper_nb.protocol.installed_library import installed_version, library_name
from tests.support.installed import install


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that modules are found in, below :func:`own`."""
    monkeypatch.syspath_prepend(str(tmp_path / "notebook"))
    return tmp_path / "notebook"


@pytest.fixture
def own(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder as of a version's own environment, above the notebook's."""
    monkeypatch.syspath_prepend(str(notebook.parent / "own"))
    return notebook.parent / "own"


@pytest.mark.parametrize(
    ("distribution", "library"),
    [
        ("xgboost", "xgboost"),
        ("xgboost-cpu", "xgboost"),
        ("Polars_LTS.cpu", "polars"),
        ("opencv-python-headless", "opencv-python"),
        ("cpu", "cpu"),
        ("cpu-tools", "cpu-tools"),
    ],
)
def test_builds_of_one_library_share_a_name(distribution: str, library: str) -> None:
    assert library_name(distribution) == library


def test_version_of_the_distribution_itself(notebook: Path) -> None:
    install(notebook, "boosted-trees", "3.2.0", "bt_x/__init__.py")
    assert installed_version("boosted-trees", "bt_x.core") == "3.2.0"
    assert installed_version("boosted-trees") == "3.2.0"
    assert installed_version("no-such-distribution", "bt_x_none.core") is None


@pytest.mark.parametrize("other", ["bt-x-cpu", "unrelated-name"])
def test_distribution_above_the_notebooks_is_the_one_imported(notebook: Path, own: Path, other: str) -> None:
    install(notebook, "bt-x", "3.2.0", "bt_y/__init__.py", "bt_y/core.py")
    install(own, other, "2.1.4", "bt_y/__init__.py", "bt_y/core.py")
    install(own, "more", "1.0", "more_bt/__init__.py")
    assert installed_version("bt-x", "bt_y.core") == f"2.1.4 ({other})"
    assert installed_version("bt-x") == "3.2.0"


@pytest.mark.parametrize(("installed_s", "expected"), [(50, "3.2.0"), (150, "2.1.4 (bt-x-cpu)")])
def test_last_of_two_in_one_folder_has_overwritten_the_other(notebook: Path, installed_s: int, expected: str) -> None:
    install(notebook, "bt-x", "3.2.0", "bt_z/__init__.py", installed_s=100)
    install(notebook, "bt-x-cpu", "2.1.4", "bt_z/__init__.py", installed_s=installed_s)
    assert installed_version("bt-x", "bt_z.core") == expected


def test_module_of_a_namespace_that_distributions_share(notebook: Path, own: Path) -> None:
    install(notebook, "space-one", "1.0", "space_q/one/__init__.py")
    install(own, "space-two", "2.0", "space_q/two.py")
    assert installed_version("space-one", "space_q.one.core") == "1.0"
    assert installed_version("space-two", "space_q.two") == "2.0"
    assert installed_version("space-three", "space_q.three") is None
