"""What a replica says of a model that other versions pickled."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pytest

from clipper_nb.protocol.load_report import (
    UnreadableHere,
    describe_load_failure,
    format_load_failure,
    parse_load_failure,
)
from clipper_nb.runtime.model_container.environment_check import check_environment
from tests.support.installed import install


def write_metadata(folder: Path, **facts: object) -> Path:
    (folder / "metadata.json").write_text(json.dumps({"kind": "python_closure", **facts}))
    return folder


def test_matching_environment_passes(tmp_path: Path) -> None:
    check_environment(write_metadata(tmp_path, environment={"Python": platform.python_version()}))


def test_a_folder_that_says_nothing_passes(tmp_path: Path) -> None:
    check_environment(tmp_path)
    check_environment(write_metadata(tmp_path))


def test_conflicting_package_is_named_in_the_log(tmp_path: Path) -> None:
    with pytest.raises(UnreadableHere, match=r"numpy 0\.9\.1 in the notebook and .* here") as raised:
        check_environment(write_metadata(tmp_path, environment={"numpy": "0.9.1", "Python": platform.python_version()}))
    failure = parse_load_failure(format_load_failure(describe_load_failure(raised.value)))
    assert failure is not None
    assert {name: tuple(found) for name, found in failure.conflicts.items()} == {"numpy": ("0.9.1", np.__version__)}


def test_library_of_another_distribution_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name, version in (("notebook", "bt-model", "3.2.0"), ("own", "bt-model-cpu", "2.1.4")):
        install(tmp_path / folder, name, version, "bt_model/__init__.py")
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    write_metadata(tmp_path, environment={"bt-model": "3.2.0"}, modules={"bt-model": "bt_model.core"})
    with pytest.raises(UnreadableHere, match=r"bt-model 3\.2\.0 in the notebook and 2\.1\.4 \(bt-model-cpu\) here"):
        check_environment(tmp_path)
    write_metadata(tmp_path, environment={"bt-model": "2.1.9"}, modules={"bt-model": "bt_model.core"})
    check_environment(tmp_path)
