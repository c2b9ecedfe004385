"""Which modules a nursery may import, and when it is too old to fork."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from clipper_nb.runtime.nursery.libraries import (
    find_changed,
    find_shadows,
    import_all,
    imported_since,
    installed_modules,
    stamp_all,
    users_modules,
)


def module(path: Path, name: str = "made") -> ModuleType:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    return importlib.util.module_from_spec(spec)


def test_what_was_imported_since_is_in_order():
    modules = dict.fromkeys(["a", "b", "c"], ModuleType("any"))
    assert imported_since("a", modules) == ["b", "c"]
    assert imported_since("c", modules) == []
    assert imported_since("gone", modules) == ["a", "b", "c"], "what was last may have been removed"


def test_installed_modules_keep_the_order_of_the_names(tmp_path):
    modules = {
        "second": module(tmp_path / "site-packages" / "second.py", "second"),
        "first": module(tmp_path / "site-packages" / "first.py", "first"),
        "json": sys.modules["json"] if "json" in sys.modules else importlib.import_module("json"),
    }
    assert installed_modules(["second", "first", "json", "gone"], modules) == ["second", "first", "json"]


def test_modules_of_the_user_are_never_installed_ones(tmp_path):
    modules = {
        "own": module(tmp_path / "own.py", "own"),
        "alias": module(tmp_path / "site-packages" / "real.py", "real"),
        "no_file": ModuleType("no_file"),
    }
    assert installed_modules(modules, modules) == []
    assert list(users_modules(modules, ["own", "no_file", "gone"])) == ["own"]


def test_module_that_cannot_be_imported_is_left_out():
    import_all(["no_such_module_anywhere", "colorsys"])
    assert "colorsys" in sys.modules


def test_shadowed_names_are_those_of_imported_modules(tmp_path):
    for name in ("json.py", "own.py", "__pycache__"):
        (tmp_path / name).mkdir()
    assert find_shadows(tmp_path, {"json": object(), "__pycache__": object()}) == ["json"]
    assert find_shadows(tmp_path / "none", {"json": object()}) == []


def test_changed_file_or_installed_package_makes_stamps_stale(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    library = module(folder / "library.py")
    monkeypatch.setattr(sys, "path", [str(folder)])
    stamps = stamp_all({"library": library})
    assert find_changed(stamps) is None

    (folder / "other.py").write_text("")
    os.utime(folder, ns=(1, 1))
    assert find_changed(stamps) == str(folder)

    stamps = stamp_all({"library": library})
    (folder / "library.py").write_text("new = True")
    assert find_changed(stamps) == str(folder / "library.py")

    stamps = stamp_all({"library": library})
    (folder / "library.py").unlink()
    assert find_changed(stamps) in (str(folder), str(folder / "library.py"))


@pytest.mark.parametrize("name", ["json", "email"])
def test_standard_library_counts_as_installed(name):
    modules = {name: importlib.import_module(name)}
    assert installed_modules([name], modules) == [name]
