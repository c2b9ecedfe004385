"""The interface of a store of the cluster's state; the Redis store and the memory store make the same promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Configuration, FrontendPresence

Change = Callable[[Configuration], Configuration]
"""A rule: accepts the configuration and returns the changed one, or raises one of this package's errors."""


ANSWER_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Question:
    """What query frontends are asked: what happened to a query."""

    question_id: str
    query_id: int


class StateStore(ABC):
    """Holds the configuration, which the management frontend writes, and presence, which query frontends write.

    It also carries questions about queries from the management frontend to the query frontends, and their answers.

    Every method raises ``StateUnavailableError`` if the store does not answer; then nothing was changed.
    """

    @abstractmethod
    async def read_configuration(self) -> Configuration:
        """Return the whole configuration of one revision."""

    @abstractmethod
    async def update_configuration(self, change: Change, change_id: str | None = None) -> Configuration:
        """Apply *change* in one transaction and return the stored configuration, with its new revision.

        A change whose id is already stored is not made again: the configuration is returned unchanged. So a caller
        that does not know whether its change was made repeats it with the same id. The last thousand ids are known.
        *change* may be called again if another caller wrote in between. Its exceptions pass through, and then nothing
        was changed.
        """

    @abstractmethod
    def configuration_changes(self) -> AsyncIterator[None]:
        """Yield at the start and whenever the configuration may have changed; never ends by itself.

        While the store is unreachable it waits, and yields when the store is back.
        """

    @abstractmethod
    async def announce(self, presence: FrontendPresence) -> int:
        """Store a query frontend's announcement; return the configuration's revision."""

    @abstractmethod
    async def withdraw(self, frontend_id: str) -> None:
        """Remove a query frontend that ends or is dead."""

    @abstractmethod
    async def read_presence(self) -> list[FrontendPresence]:
        """Return the last announcement of every query frontend that was not withdrawn, even if it is dead."""

    @abstractmethod
    def presence_changes(self) -> AsyncIterator[None]:
        """Yield like ``configuration_changes``, after each announcement or withdrawal."""

    @abstractmethod
    async def ask_frontends(self, query_id: int) -> list[QueryHistory]:
        """Return what the query frontends know of a query, as far as they answer within a second."""

    @abstractmethod
    def questions(self) -> AsyncIterator[Question]:
        """Yield each question about a query from now on; never ends by itself."""

    @abstractmethod
    async def answer_question(self, question_id: str, answer: QueryHistory | None) -> None:
        """Answer a question; each query frontend does so once, also if it does not know the query."""

    @abstractmethod
    async def keep_own_metrics(self, frontend_id: str, counts: bytes) -> None:
        """Store what the models of a query frontend have counted themselves; it outlives the frontend."""

    @abstractmethod
    async def read_own_metrics(self, frontend_id: str) -> bytes | None:
        """Return what ``keep_own_metrics`` stored last for a query frontend."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""
