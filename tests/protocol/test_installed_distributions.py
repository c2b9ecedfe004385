"""What is installed is read once, and nothing of it is known any longer after something was installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

from clipper_nb.protocol.installed_distributions import installed_distributions
from tests.support.installed import install


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def _info(folder: Path, name: str) -> Path:
    return next(folder.glob(f"{name}-*.dist-info"))


def test_distribution_is_known_until_something_is_installed(folder: Path) -> None:
    install(folder, "tools-a", "1.0", "tools_a/__init__.py")
    before = installed_distributions()
    assert before.owners("tools_a") == ["tools-a"]
    assert installed_distributions() is before
    (folder / "notebook.ipynb").write_text("")
    assert installed_distributions() is before
    install(folder, "tools-b", "1.0", "tools_a/more.py")
    assert installed_distributions() is not before


def test_upgrade_is_seen(folder: Path) -> None:
    install(folder, "tools-c", "1.0", "tools_c.py")
    found = installed_distributions().find("Tools.C")
    assert found is not None
    assert (found.version, found.requires, found.origin) == ("1.0", (), None)
    shutil.rmtree(_info(folder, "tools_c"))
    install(folder, "tools-c", "2.0", "tools_c.py")
    found = installed_distributions().find("tools-c")
    assert found is not None
    assert found.version == "2.0"


def test_removal_is_seen(folder: Path) -> None:
    install(folder, "tools-d", "1.0", "tools_d.py")
    assert installed_distributions().owners("tools_d") == ["tools-d"]
    shutil.rmtree(_info(folder, "tools_d"))
    assert installed_distributions().find("tools-d") is None
    assert installed_distributions().owners("tools_d") == []


def test_same_version_from_another_place_is_seen(folder: Path) -> None:
    install(folder, "tools-e", "1.0", "tools_e.py")
    assert installed_distributions().find("tools-e") is not None
    old = _info(folder, "tools_e").rename(folder / "~ools_e")  # as pip does it
    install(folder, "tools-e", "1.0", "tools_e.py")
    (_info(folder, "tools_e") / "direct_url.json").write_text(json.dumps({"url": "file:///here"}))
    shutil.rmtree(old)
    found = installed_distributions().find("tools-e")
    assert found is not None
    assert found.origin == '{"url": "file:///here"}'


def test_egg_of_a_package_in_development_is_read_each_time(folder: Path) -> None:
    info = folder / "tools_f.egg-info"
    info.mkdir()
    for version in ("1.0", "1.1"):
        (info / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: tools-f\nVersion: {version}\n")
        (info / "top_level.txt").write_text(f"tools_f{version[-1]}\n")
        found = installed_distributions().find("tools-f")
        assert found is not None
        assert found.version == version
        assert installed_distributions().owners(f"tools_f{version[-1]}") == ["tools-f"]


def test_what_a_broken_installation_left_is_no_distribution(folder: Path) -> None:
    (folder / "tools_h-1.0.dist-info").mkdir()
    (folder / "tools_i-1.0.dist-info").mkdir()
    (folder / "tools_i-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n\n")
    (folder / "tools_i-1.0.dist-info" / "top_level.txt").write_text("tools_i\n")
    assert installed_distributions().find("tools-h") is None
    assert installed_distributions().find("tools-i") is None
    assert installed_distributions().owners("tools_i") == []


def test_long_description_is_no_part_of_the_requirements(folder: Path) -> None:
    install(folder, "tools-g", "1.0", "tools_g.py")
    (_info(folder, "tools_g") / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tools-g\nVersion: 1.0\nRequires-Dist: one\n"
        "Requires-Dist: two; extra == 'x'\n\nName: another\n\nRequires-Dist: three\n"
    )
    found = installed_distributions().find("tools-g")
    assert found is not None
    assert (found.name, found.requires) == ("tools-g", ("one", "two; extra == 'x'"))


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 finds no module of a wheel without top_level.txt")
def test_owners_are_those_that_the_standard_library_finds() -> None:
    expected = importlib.metadata.packages_distributions()
    for top in ("numpy", "pandas", "yaml", "_pytest", "no_such_module"):
        assert installed_distributions().owners(top) == list(dict.fromkeys(expected.get(top, ())))


def test_finders_forget_for_one_thread_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_has_begun = threading.Event()
    inside: list[bool] = []

    def invalidate_caches() -> None:
        if threading.current_thread() is not other:
            other.start()
        else:
            other_has_begun.set()
        inside.append(other_has_begun.wait(0.2))

    monkeypatch.setattr(importlib, "invalidate_caches", invalidate_caches)
    found: list[object] = []
    other = threading.Thread(target=lambda: found.append(installed_distributions()))
    install(folder, "tools-t", "1.0", "tools_t.py")
    found.append(installed_distributions())
    other.join(10)
    assert not inside[0]
    assert len(found) == 2
