"""The shares that a user chooses for an application, before they are set. (pure)"""

from __future__ import annotations

from collections.abc import Mapping

from clipper_nb.protocol.shares import weights_of, with_share

_SAME = 1e-5
"""Shares that differ by less are the same: they were rounded when they were set."""


class SharesEdit:
    """Follows the shares of one application until the user moves one, then holds what the user chose."""

    def __init__(self) -> None:
        self._application: str | None = None
        self._actual: dict[str, float] = {}
        self._chosen: dict[str, float] | None = None

    @property
    def application(self) -> str | None:
        """The application whose shares these are."""
        return self._application

    @property
    def actual(self) -> Mapping[str, float]:
        """The shares in the cluster, by target."""
        return self._actual

    @property
    def shares(self) -> Mapping[str, float]:
        """The shares to show: those that the user chose, or the actual ones."""
        return self._actual if self._chosen is None else self._chosen

    @property
    def is_changed(self) -> bool:
        """Whether the user chose something else than what is."""
        return self._chosen is not None and not _are_same(self._chosen, self._actual)

    def follow(self, application: str | None, actual: Mapping[str, float]) -> bool:
        """Take what is in the cluster now; return whether a choice was dropped because the shares changed."""
        is_lost = False
        if application != self._application:
            self._chosen = None
        elif not _are_same(actual, self._actual):
            is_lost = self.is_changed and not _are_same(actual, self.shares)
            self._chosen = None
        self._application, self._actual = application, dict(actual)
        return is_lost

    def move(self, target: str, share: float) -> None:
        """Give one target, which may be a new one, another share, from 0 to 1; the others divide the rest."""
        self._chosen = with_share(self.shares, target, share)

    def reset(self) -> None:
        """Forget what the user chose."""
        self._chosen = None


def _are_same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Return whether queries would be divided the same."""
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(abs(first[name] - second[name]) <= 100 * _SAME for name in first)
