"""Modules of the user's own that a function imports when it is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL
import pytest

from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.closures.imported_files import find_imported_files
from clipper_nb.errors import InvalidRequestError

_REPLICA = """
import sys
from pathlib import Path
from clipper_nb.runtime.model_container.python_model import load_python_model
print(load_python_model(Path(sys.argv[1])).predict([[1.0, 2.0]]))
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a notebook, with modules beside it that nothing has imported yet."""
    folder = tmp_path / "notebook"
    (folder / "late_package" / "__pycache__").mkdir(parents=True)
    (folder / "late_package" / "__init__.py").write_text("from .inner import scaled\n")
    (folder / "late_package" / "inner.py").write_text(
        "import late_constants\nimport PIL\ndef scaled(x):\n    return late_constants.SCALE * x\n"
    )
    (folder / "late_package" / "table.json").write_text("{}")
    (folder / "late_package" / "__pycache__" / "old.pyc").write_bytes(b"x")
    (folder / "late_constants.py").write_text("SCALE = 3.0\n")
    (folder / "not_wanted.py").write_text("raise RuntimeError('nobody asked for this')\n")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def notebook(code: str) -> Callable[[list[Any]], Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "cell.py", "exec"), names)
    return names["predict"]  # type: ignore[no-any-return]


LATE = "def predict(inputs):\n    from late_package import scaled\n    return [scaled(sum(x)) for x in inputs]\n"


def test_late_imports_travel_and_can_be_imported_there(beside: Path, tmp_path: Path) -> None:
    pickled, report = pickle_function(notebook(LATE))
    assert report.user_modules == ["late_constants", "late_package"]
    assert report.requirements.direct == {"pillow": PIL.__version__}
    assert report.size_bytes > len(pickled)
    assert "files" not in report.to_dict()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "func.pkl").write_bytes(pickled)
    report.files.write(bundle)
    found = sorted(str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file())
    assert found == [
        "func.pkl",
        "modules/late_constants.py",
        "modules/late_package/__init__.py",
        "modules/late_package/inner.py",
        "modules/late_package/table.json",
    ]
    done = subprocess.run(
        [sys.executable, "-c", _REPLICA, str(bundle)], cwd="/", capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[9.0]"
    # They were read, never run.
    assert not {"late_package", "late_constants"} & set(sys.modules)


def test_installed_or_missing_module_has_no_files(beside: Path) -> None:
    found = find_imported_files(["json", "numpy.linalg", "no_such_module", "clipper_nb.errors", "__main__"])
    assert found.places == {}


def test_file_with_a_syntax_error_is_still_found(beside: Path) -> None:
    (beside / "late_broken.py").write_text("def (:\n")
    assert list(find_imported_files(["late_broken"]).places) == ["late_broken"]


def test_large_files_count(beside: Path) -> None:
    with open(beside / "late_package" / "weights.bin", "wb") as file:
        file.truncate(101_000_000)
    with pytest.raises(InvalidRequestError, match=r"'files of modules' \(101\.0 MB\)"):
        pickle_function(notebook(LATE), allow_large=False)
