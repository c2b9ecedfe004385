"""What handles have in common: live mappings by name, whose keys complete, and reprs that never raise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from clipper_nb.errors import ClipperException, InvalidNameError, NotFoundError, UnconnectedException

_Handle = TypeVar("_Handle")
_Default = TypeVar("_Default")


class ByName(Mapping[str, _Handle]):
    """A live mapping whose keys complete in a notebook; an unknown key raises a ``NotFoundError``."""

    @overload
    def get(self, key: Any, /) -> _Handle | None: ...
    @overload
    def get(self, key: Any, /, default: _Default) -> _Handle | _Default: ...
    def get(self, key: Any, /, default: Any = None) -> Any:
        try:
            return self[key]
        except NotFoundError:
            return default

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except (NotFoundError, InvalidNameError):
            return False
        return True

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def _ipython_key_completions_(self) -> list[str]:
        try:
            return list(self)
        except ClipperException:
            return []  # completion shows no errors


def live(describe: Callable[[], str], otherwise: str) -> str:
    """Return the result of *describe*, or *otherwise* with the reason why there is none."""
    try:
        return describe()
    except NotFoundError:
        return otherwise.format("not in the cluster")
    except UnconnectedException:
        return otherwise.format("not connected")
    except ClipperException:
        return otherwise.format("out of reach")


def html_or_none(describe: Callable[[], str]) -> str | None:
    """Return the result of *describe*, or ``None`` if it raises an error of this package."""
    try:
        return describe()
    except ClipperException:
        return None  # the text shows the problem
