"""Pickles an object and records what travels with it: functions by value, and modules that the reader must have."""

from __future__ import annotations

import dis
import enum
import io
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final, TypeVar

import cloudpickle
import msgspec

from clipper_nb.closures.class_reducers import CACHE, complete_enum, is_of_typing, reduce_record_type, reduce_typing
from clipper_nb.closures.reducers import is_reduced_by_identity, is_ufunc, reduce_object
from clipper_nb.closures.unpicklable import describe_immovable, may_be_immovable
from clipper_nb.model_functions.struct_classes import reduce_struct

_MAX_TRIES = 10
_File = TypeVar("_File", "io.BytesIO", "_ByteCounter")
_GENERATORS: Final = {
    "random.Random", "numpy.random._generator.Generator", "numpy.random.bit_generator.BitGenerator",
    "numpy.random.mtrand.RandomState", "torch._C.Generator",
}  # fmt: skip
"""Classes whose objects travel with their state."""


class RecordingPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that records what it visits, and continues after what cannot travel.

    Parameters
    ----------
    file : file
        What the pickle is written to.
    left_out : dict
        Objects that an earlier pass failed to pickle: ``{id: (object, reason)}``. Keeping the object keeps its id
        valid.

    Attributes
    ----------
    modules : set of str
        Full names of the modules that the pickled objects come from.
    of_objects : set of str
        Those of them whose classes have objects in the pickle.
    imported : set of str
        Those of them that functions import when they are called.
    functions : list of FunctionType
        Functions that travel by value, in the order in which they were visited.
    generators : list
        Generators of random numbers, at least one of each type.
    refused : list of tuple
        What cannot travel, each with the reason. The pickle is unusable then.
    last : object
        The object visited last; if pickling raises, the one to blame.
    """

    def __init__(self, file: Any, left_out: Mapping[int, tuple[Any, str]]) -> None:
        super().__init__(file)
        self.modules: set[str] = set()
        self.of_objects: set[str] = set()
        self.imported: set[str] = set()
        self.functions: list[FunctionType] = []
        self.generators: list[Any] = []
        self.refused: list[tuple[Any, str]] = []
        self.last: Any = None
        self._left_out = left_out
        self._plain: set[type] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Record *obj*, and let cloudpickle pickle it, or leave it out."""
        if obj is object:  # the placeholder for what is left out
            return NotImplemented
        self.last = obj
        if type(obj) in self._plain and id(obj) not in self._left_out:
            return NotImplemented
        cause = self._cause(obj)
        if cause is not None:
            self.refused.append((obj, cause))
            return object, ()
        self._note(obj)
        reduced = reduce_object(obj) or self._reduce_type(obj)
        if reduced is None and _is_plain(obj):
            self._plain.add(type(obj))
        return super().reducer_override(obj) if reduced is None else reduced

    def _reduce_type(self, obj: Any) -> tuple[Any, ...] | None:
        """Reduce what belongs to the types of the notebook, or of the user's own modules."""
        is_enum = isinstance(obj, enum.EnumMeta)
        is_struct = isinstance(obj, type(msgspec.Struct))
        has_cache = isinstance(obj, type) and CACHE in vars(obj)
        if not (is_enum or is_struct or has_cache or is_of_typing(obj)) or travels_by_name(obj):
            return None
        if is_struct:
            return reduce_struct(obj)
        if is_of_typing(obj):
            return reduce_typing(obj)
        reduced = super().reducer_override(obj)
        if has_cache:
            reduced = reduce_record_type(obj, reduced)
        if not isinstance(reduced, tuple):
            return None
        return complete_enum(obj, reduced) if is_enum else reduced

    def _cause(self, obj: Any) -> str | None:
        if id(obj) in self._left_out:
            return self._left_out[id(obj)][1]
        immovable = describe_immovable(obj)
        # Refuse even what could be pickled: cloudpickle would turn a file that is open for reading into a text.
        return None if immovable is None or _is_standard_stream(obj) else f"cannot take along {immovable}"

    def _note(self, obj: Any) -> None:
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, FunctionType) and not travels_by_name(obj):
            self.functions.append(obj)
            self.imported.update(imported_modules(obj))
            self.modules |= self.imported
        elif not is_ufunc(obj):  # its module is visited separately
            is_object = not isinstance(obj, (type, FunctionType, BuiltinFunctionType))
            owner = type(obj) if is_object else obj
            # A class needs those that it derives from, which may be optional to its distribution.
            needed = owner.__mro__ if isinstance(owner, type) else (owner,)
            modules = {str(getattr(each, "__module__", None) or "") for each in needed}
            self.modules |= modules
            self.of_objects |= modules if is_object else set()
            if is_object and any(f"{each.__module__}.{each.__qualname__}" in _GENERATORS for each in needed):
                self.generators.append(obj)


def _is_plain(obj: Any) -> bool:
    """Return whether all objects of its type are treated alike: a model has thousands of few types."""
    return not (
        isinstance(obj, (type, ModuleType, FunctionType, BuiltinFunctionType))
        or is_of_typing(obj)
        or is_reduced_by_identity(obj)
        or is_ufunc(obj)
        or describe_immovable(obj) is not None
        or may_be_immovable(obj)
    )


class _ByteCounter:
    """A file that counts what is written and keeps nothing: of a large array no copy is made."""

    def __init__(self) -> None:
        self.num_bytes = 0

    def write(self, block: Any) -> int:
        size_bytes = memoryview(block).nbytes
        self.num_bytes += size_bytes
        return size_bytes


def pickle_noting(obj: Any) -> tuple[bytes, RecordingPickler]:
    """Return the pickle of an object, empty when it has none, and the pickler with what it recorded."""
    file, pickler = _dump(obj, io.BytesIO)
    return b"" if file is None else file.getvalue(), pickler


def measure_noting(obj: Any) -> tuple[int, RecordingPickler]:
    """Return the size of an object's pickle in bytes, 0 when it has none, and the pickler with what it recorded."""
    file, pickler = _dump(obj, _ByteCounter)
    return 0 if file is None else file.num_bytes, pickler


def _dump(obj: Any, make_file: Callable[[], _File]) -> tuple[_File | None, RecordingPickler]:
    """Pickle an object into a new file; return ``None`` for one without a usable pickle.

    When an object raises, everything is pickled again without it, so that all that cannot travel is recorded. When
    another thread of the notebook changed something meanwhile, everything is pickled again.
    """
    left_out: dict[int, tuple[Any, str]] = {}
    tries_left = _MAX_TRIES
    while True:
        tries_left -= 1
        file = make_file()
        pickler = RecordingPickler(file, left_out)
        try:
            pickler.dump(obj)
        except Exception as exc:  # whatever the objects' own __reduce__ raise
            culprit = pickler.last
            was_changed = isinstance(exc, RuntimeError) and "during iteration" in str(exc)
            can_be_left_out = culprit is not obj and id(culprit) not in left_out
            is_too_deep = isinstance(exc.__cause__ or exc, RecursionError)
            if tries_left == 0 or is_too_deep or not (was_changed or can_be_left_out):
                pickler.refused.append((obj, _format_cause(exc, was_changed)))
                return None, pickler
            if not was_changed:
                left_out[id(culprit)] = culprit, _format_cause(exc, was_changed)
        else:
            return None if pickler.refused else file, pickler


def _format_cause(exc: Exception, was_changed: bool) -> str:
    if was_changed:
        return f"another thread changes it while it is pickled ({exc}); let that thread end, or use a copy"
    return str(exc) if isinstance(exc, pickle.PicklingError) else f"{type(exc).__name__}: {exc}"


def _is_standard_stream(obj: Any) -> bool:
    """Return whether it is a stream that cloudpickle pickles by name."""
    return any(obj is stream for stream in (sys.stdout, sys.stderr))


def travels_by_name(thing: Any) -> bool:
    """Return whether a function or class is pickled as the name of an installed module's attribute."""
    module = sys.modules.get(thing.__module__ or "")
    if module is None or thing.__module__ == "__main__":
        return False
    if thing.__module__.partition(".")[0] in {
        name.partition(".")[0] for name in cloudpickle.list_registry_pickle_by_value()
    }:
        return False
    found: Any = module
    for part in getattr(thing, "__qualname__", thing.__name__).split("."):
        found = getattr(found, part, None)
    return found is thing


def imported_modules(func: FunctionType) -> Iterator[str]:
    """Yield the modules that a function's own ``import`` statements name, also those of functions within it."""
    parents = str(func.__globals__.get("__package__") or "").split(".")
    for name, level in _imports(func.__code__):
        above = parents[: len(parents) - level + 1] if level else []
        found = ".".join(filter(None, [*above, name]))
        if found:
            yield found


def _imports(code: CodeType) -> Iterator[tuple[str, int]]:
    """Yield the name in each ``import`` statement, and the number of dots before it."""
    before: list[Any] = [0, 0]
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval or ""), int(before[-2] or 0)  # the level, the names, and then this
        before.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant)
