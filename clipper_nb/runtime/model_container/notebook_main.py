"""The replica's ``__main__``: what travelled from the notebook's is found there, by pickles and by child processes.

A class of a cell is pickled as ``__main__.Clip``, so ``joblib.load`` and process pools look for it there. The replica's
own names are never in the way: its ``__main__`` is a new and empty module.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from clipper_nb.protocol.model_folder import MODULES_FOLDER

_MAIN = "__main__"
_CHILD_MODULE = "clipper_nb.runtime.model_container.child_main"
_CLOUDPICKLE = "cloudpickle.cloudpickle"
_STRUCTS = "clipper_nb.model_functions.struct_classes"
_MAKERS_OF_CLASSES = ("_make_skeleton_class", "_make_skeleton_enum")
_KEPT = ("__name__", "__builtins__", "__spec__")
"""Names that a module of this process has, whatever the notebook's ``__main__`` had."""


class NotebookMain(ModuleType):
    """A module that stands for the notebook's ``__main__``."""

    def __repr__(self) -> str:
        """Return what pickle's errors show."""
        return f"<module {_MAIN!r}>"


def become_notebook() -> None:
    """Make an empty module this process's ``__main__``; a spawned child runs ``child_main`` as its own."""
    main = NotebookMain(_MAIN)
    main.__spec__ = importlib.util.find_spec(_CHILD_MODULE)
    sys.modules[_MAIN] = main


def load_pickled(folder: Path, name: str, namespace: dict[str, Any] | None = None) -> Any:
    """Return the object pickled in a file of the model's folder; modules beside it can be imported from then on.

    *namespace* gets what travelled from the notebook's ``__main__``; by default the ``__main__`` of this process, if
    :func:`become_notebook` made it.
    """
    modules = str(folder / MODULES_FOLDER)
    if Path(modules).is_dir() and modules not in sys.path:
        sys.path.insert(0, modules)
    main = sys.modules[_MAIN]
    if namespace is None and isinstance(main, NotebookMain):
        namespace = vars(main)
    with open(folder / name, "rb") as file:
        return pickle.load(file) if namespace is None else _NotebookUnpickler(file, namespace).load()


class _NotebookUnpickler(pickle.Unpickler):
    """Gives functions of the notebook's ``__main__`` one namespace, and puts classes and functions into it."""

    def __init__(self, file: Any, namespace: dict[str, Any]) -> None:
        super().__init__(file)
        self._namespace = namespace
        self._pickled_namespace: dict[str, Any] | None = None
        self._made: list[Any] = []

    def load(self) -> Any:
        loaded = super().load()
        for made in self._made:
            name = made.__name__
            if made.__module__ == _MAIN and made.__qualname__ == name and name.isidentifier():
                self._namespace.setdefault(name, made)
        return loaded

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module == _STRUCTS:
            return self._noted(found) if name == "make_struct" else found
        if module != _CLOUDPICKLE:
            return found
        if name == "_make_function":
            return self._in_namespace(found)
        return self._noted(found) if name in _MAKERS_OF_CLASSES else found

    def _in_namespace(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def make_function(code: Any, variables: dict[str, Any], *others: Any) -> Any:
            if variables.get("__name__") == _MAIN and self._is_the_notebooks(variables):
                self._namespace.update({name: value for name, value in variables.items() if name not in _KEPT})
                variables = self._namespace
            made = make(code, variables, *others)
            self._made.append(made)
            return made

        return make_function

    def _is_the_notebooks(self, variables: dict[str, Any]) -> bool:
        # All functions of one module are pickled with the same dictionary; exec() may have used another one.
        if self._pickled_namespace is None:
            self._pickled_namespace = variables
        return variables is self._pickled_namespace

    def _noted(self, make: Callable[..., Any]) -> Callable[..., Any]:
        def make_class(*arguments: Any) -> Any:
            made = make(*arguments)
            self._made.append(made)
            return made

        return make_class
