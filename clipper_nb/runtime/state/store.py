"""What a store of the cluster's state promises; the Redis store and the memory store keep the same promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

from clipper_nb.protocol.records import Configuration, FrontendPresence

Change = Callable[[Configuration], Configuration]
"""A rule: takes the configuration as it is, returns it as it should be, or raises an error of ours."""


class StateStore(ABC):
    """Holds the configuration, which the management frontend writes, and presence, which query frontends write.

    Every method raises ``StateUnavailableError`` when the store does not answer; then nothing was changed.
    """

    @abstractmethod
    async def read_configuration(self) -> Configuration:
        """Return the whole configuration of one revision."""

    @abstractmethod
    async def update_configuration(self, change: Change, change_id: str | None = None) -> Configuration:
        """Apply *change* in one transaction and return what is stored then, with its new revision.

        A change whose id is stored already is not made again: the configuration is returned as it is. So a caller
        that does not know whether its change was made asks again with the same id. The last thousand are known.
        *change* may be called again when another caller wrote in between. What it raises passes through, with
        nothing changed.
        """

    @abstractmethod
    def configuration_changes(self) -> AsyncIterator[None]:
        """Yield once at the start and after each time the configuration may have changed; never ends by itself.

        While the store is away it waits for it, and yields when it is back.
        """

    @abstractmethod
    async def announce(self, presence: FrontendPresence) -> int:
        """Store what a query frontend says of itself; return the configuration's revision."""

    @abstractmethod
    async def withdraw(self, frontend_id: str) -> None:
        """Forget a query frontend that ends, or is dead."""

    @abstractmethod
    async def read_presence(self) -> list[FrontendPresence]:
        """Return what every query frontend said last that has not been withdrawn; it need not live any more."""

    @abstractmethod
    def presence_changes(self) -> AsyncIterator[None]:
        """Yield as ``configuration_changes`` does, after each announcement or withdrawal."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of all connections."""
