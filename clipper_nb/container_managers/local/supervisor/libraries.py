"""What the nurseries of one environment import: learned from the models that were loaded in it. (pure)"""

from __future__ import annotations

import sys
from collections.abc import Iterable


class Libraries:
    """The modules that models import, and those that the nursery has imported.

    Examples
    --------
    >>> libraries = Libraries()
    >>> libraries.learn(["numpy"])
    >>> libraries.is_due, libraries.modules
    (True, ('numpy',))
    >>> libraries.are_imported(libraries.modules)
    ['numpy']
    >>> libraries.is_due
    False
    """

    def __init__(self) -> None:
        self._wanted: dict[str, None] = {}
        self._imported: tuple[str, ...] = ()
        self._refused: set[str] = set()

    @property
    def modules(self) -> tuple[str, ...]:
        """Everything that the next nursery imports, in order."""
        return tuple(self._wanted)

    @property
    def is_due(self) -> bool:
        """True if the nursery has not imported everything that it should."""
        return len(self._wanted) > len(self._imported)

    def lack(self, modules: Iterable[str]) -> bool:
        """Return whether the next nursery imports one of *modules*, and the running one has not."""
        return any(name in self._wanted and name not in self._imported for name in modules)

    def missing(self, modules: Iterable[str]) -> tuple[str, ...]:
        """Return those of *modules* that the running nursery has not imported, and that may be imported ahead."""
        known = {*self._imported, *self._refused}
        return tuple(dict.fromkeys(name for name in modules if name not in known))

    def learn(self, modules: Iterable[str]) -> None:
        """Add what a model imported."""
        self._wanted.update(dict.fromkeys(name for name in modules if name not in self._refused))

    def are_imported(self, modules: tuple[str, ...]) -> list[str]:
        """Note what the nursery has imported; return the libraries of those that the one before had not."""
        new = set(modules) - set(self._imported)
        self._imported = modules
        return _libraries_of(new)

    def are_inherited(self, modules: tuple[str, ...]) -> list[str]:
        """Note what a nursery has imported that has all of the one before, too; return the libraries of it."""
        self.learn(modules)
        return self.are_imported((*self._imported, *(name for name in modules if name not in self._imported)))

    def are_refused(self, modules: tuple[str, ...]) -> list[str]:
        """Leave out those of *modules* that no nursery has imported yet; return the libraries that they are of."""
        new = set(modules) - set(self._imported)
        self._refused |= new
        self._wanted = {name: None for name in self._wanted if name not in new}
        return _libraries_of(new)


def _libraries_of(modules: Iterable[str]) -> list[str]:
    """Return the names of libraries, without those of the standard one, which every model has."""
    return sorted({name.partition(".")[0] for name in modules} - sys.stdlib_module_names)
