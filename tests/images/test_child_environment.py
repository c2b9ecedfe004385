"""What R puts before all libraries of a notebook's process does not reach the processes that are started from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_nb.images.child_environment import child_environment, folders_of_r, without_folders

_OF_R = "/r/lib:/usr/lib"


@pytest.mark.parametrize(
    ("path", "at_start", "expected"),
    [
        (_OF_R, "", ""),
        (f"{_OF_R}:/mine", "/mine", "/mine"),
        (f"{_OF_R}:/cell:/mine", "/mine", "/cell:/mine"),
        (f"/cell:{_OF_R}:/mine", "/mine", "/cell:/mine"),
        (f"{_OF_R}:{_OF_R}:/mine", "/mine", "/mine"),
        (f"{_OF_R}:{_OF_R}:/mine", f"{_OF_R}:/mine", f"{_OF_R}:/mine"),
        (f"{_OF_R}:/mine", f"{_OF_R}:/mine", f"{_OF_R}:/mine"),
        ("/cell", "/mine", "/cell"),
        ("/usr/lib:/mine", "/mine", "/usr/lib:/mine"),
        ("/mine", "/mine", "/mine"),
    ],
)
def test_only_what_r_added_is_taken_away(path: str, at_start: str, expected: str) -> None:
    assert without_folders(path, _OF_R, at_start) == expected


def test_nothing_is_taken_away_if_r_adds_nothing() -> None:
    assert without_folders("/a::/b", "", "/b") == "/a::/b"


def test_settings_of_r_say_what_it_adds(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ldpaths").write_text(
        ': ${R_LD_LIBRARY_PATH=${R_HOME}/lib:/more}\nLD_LIBRARY_PATH="${R_LD_LIBRARY_PATH}:${LD_LIBRARY_PATH}"\n'
    )
    variables = {**os.environ, "R_HOME": str(tmp_path), "LD_LIBRARY_PATH": "/mine"}
    variables.pop("R_LD_LIBRARY_PATH", None)
    assert folders_of_r(variables) == f"{tmp_path}/lib:/more"
    (tmp_path / "etc" / "ldpaths").write_text("exit 3")
    assert folders_of_r(variables) == ""
    assert folders_of_r({**variables, "R_HOME": str(tmp_path / "none")}) == ""


def test_without_r_a_cell_may_set_the_library_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("R_HOME", raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/mine")
    assert child_environment() == dict(os.environ)


_NOTEBOOK = """
import os
os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(["/cell", *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
from rpy2.robjects import r
from clipper_nb.images.child_environment import child_environment
assert "/lib:" in os.environ["LD_LIBRARY_PATH"].partition("/cell")[0], os.environ["LD_LIBRARY_PATH"]
print(child_environment()["LD_LIBRARY_PATH"])
"""


@pytest.mark.r
@pytest.mark.parametrize("at_start", ["", "/before-the-notebook"])
def test_what_the_user_set_stays_once_r_runs(at_start: str) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("LD_LIBRARY_PATH", "R_"))}
    done = subprocess.run(
        [sys.executable, "-c", _NOTEBOOK], env={**variables, **({"LD_LIBRARY_PATH": at_start} if at_start else {})},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ":".join(filter(None, ["/cell", at_start]))
