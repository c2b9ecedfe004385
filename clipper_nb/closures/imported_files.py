"""The user's own modules that a function imports when it is called: no pickle holds them, so files travel."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clipper_nb.closures.user_modules import is_user_file
from clipper_nb.protocol.model_folder import MODULES_FOLDER

_SKIPPED = ("__pycache__", ".git", ".ipynb_checkpoints", ".venv")


@dataclass(frozen=True)
class ImportedFiles:
    """The user's own modules that a function imports when it is called.

    Attributes
    ----------
    places : dict
        File, or folder of a package, by the name of the user's own top-level module.
    modules : frozenset of str
        Modules that these import in their turn, by their full names.
    """

    places: Mapping[str, Path] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()

    def size_bytes(self) -> int:
        """Return how large the files are."""
        return sum(path.stat().st_size for place in self.places.values() for path in _files(place))

    def __or__(self, other: ImportedFiles) -> ImportedFiles:
        """Return the files of both."""
        return ImportedFiles({**self.places, **other.places}, self.modules | other.modules)

    def sources(self) -> Iterator[str]:
        """Yield the text of each Python file."""
        for place in self.places.values():
            for path in _files(place):
                if path.suffix == ".py":
                    yield path.read_text(errors="replace")

    def write(self, folder: Path) -> None:
        """Copy the files into a bundle."""
        for place in self.places.values():
            target = folder / MODULES_FOLDER / place.name
            target.parent.mkdir(exist_ok=True)
            if place.is_dir():
                shutil.copytree(place, target, ignore=shutil.ignore_patterns(*_SKIPPED))
            else:
                shutil.copyfile(place, target)


NO_FILES = ImportedFiles()


def find_imported_files(modules: Iterable[str]) -> ImportedFiles:
    """Return the files of those of *modules*, and of what these import, that are the user's own."""
    places: dict[str, Path] = {}
    imported: set[str] = set()
    todo = list(modules)
    while todo:
        top = todo.pop().partition(".")[0]
        place = None if top in places else _find_place(top)
        if place is None:
            continue
        places[top] = place
        found = {name for path in _files(place) if path.suffix == ".py" for name in _imports(path)}
        todo += found - imported
        imported |= found
    return ImportedFiles(dict(sorted(places.items())), frozenset(imported))


def _find_place(top: str) -> Path | None:
    """Return the file or folder of a user's own top-level module, without importing it."""
    if top in sys.stdlib_module_names or top in ("", "__main__", "clipper_nb"):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # a module that was created by hand has no spec
        return None
    if spec is None or not is_user_file(spec.origin):
        return None
    path = Path(str(spec.origin)).resolve()
    return path.parent if path.name == "__init__.py" else path


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for path in sorted(place.rglob("*")):
        if path.is_file() and not set(path.relative_to(place).parts) & set(_SKIPPED):
            yield path


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports anywhere; its relative imports are beside it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # importing it raises the error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
