"""From modules to pinned distributions; an environment with packages of every origin is made for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_nb.closures.requirements import find_requirements

_PROGRAM = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
from clipper_nb.closures.requirements import find_requirements
for name in sys.argv[2:]:
    importlib.import_module(name)
found = find_requirements(sys.argv[2:])
print(json.dumps([dict(found.direct), list(found.pinned), dict(found.unpinnable)]))
"""


def add_distribution(folder: Path, name: str, module: str, *, origin: object = None, requires: str = "") -> None:
    """Install a distribution of one module, as pip would leave it."""
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    info = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    info.mkdir(parents=True)
    wanted = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n{wanted}")
    (info / "RECORD").write_text(f"{path.relative_to(folder)},,\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))


def find(folder: Path, *modules: str) -> tuple[dict[str, str], list[str], dict[str, str]]:
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder), *modules], capture_output=True, text=True, check=True, timeout=60
    )
    direct, pinned, unpinnable = json.loads(finished.stdout)
    return direct, pinned, unpinnable


def test_a_module_is_found_under_the_name_of_its_distribution(tmp_path: Path) -> None:
    add_distribution(tmp_path, "Some_Tools", "othername", requires="some-base>=1")
    add_distribution(tmp_path, "some-base", "basement")
    assert find(tmp_path, "othername") == ({"some-tools": "1.5"}, ["some-base==1.5", "some-tools==1.5"], {})


def test_only_used_packages_of_a_shared_namespace_are_found(tmp_path: Path) -> None:
    add_distribution(tmp_path, "space-one", "space.one")
    add_distribution(tmp_path, "space-two", "space.two")
    assert find(tmp_path, "space.two")[0] == {"space-two": "1.5"}


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        (
            {"url": "ssh://host/repo", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "installed from git, ssh://host/repo",
        ),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "installed as editable, from file:///src"),
        ({"url": "file:///src/a.whl", "archive_info": {}}, "installed from file:///src/a.whl"),
    ],
)
def test_package_from_elsewhere_cannot_be_pinned(tmp_path: Path, origin: object, why: str) -> None:
    add_distribution(tmp_path, "homemade", "homemade", origin=origin)
    assert find(tmp_path, "homemade") == ({"homemade": "1.5"}, [], {"homemade": why})


def test_distributions_whose_objects_travel_have_a_module() -> None:
    found = find_requirements(
        ["numpy.linalg", "pandas", "json"], ["pandas.core.frame", "pandas.core.series", "json.encoder"]
    )
    assert set(found.direct) == {"numpy", "pandas"}
    assert found.pickled == {"pandas": "pandas.core.frame"}


def test_standard_library_needs_no_requirement() -> None:
    assert find_requirements(["json", "os.path", "__main__", "clipper_nb.connection", "no_such_module"]).direct == {}


def test_package_that_was_installed_after_a_deploy_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    add_distribution(tmp_path, "tools-before", "tools_before")
    assert find_requirements(["tools_before"]).direct == {"tools-before": "1.5"}
    add_distribution(tmp_path, "tools-after", "tools_after")
    assert find_requirements(["tools_after"]).direct == {"tools-after": "1.5"}
