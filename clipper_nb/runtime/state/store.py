"""The interface of a store of the cluster's state; the Redis store and the memory store make the same promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Union

from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Configuration, FrontendPresence
from clipper_nb.protocol.roll_out import RollOutCounts, RollOutProgress
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.runtime.state.count_store import CountStore
from clipper_nb.runtime.state.feedback_store import FeedbackStore

Change = Callable[[Configuration], Configuration]
"""A rule: accepts the configuration and returns the changed one, or raises one of this package's errors."""


ANSWER_TIMEOUT_S = 3.0
"""A frontend that stands still is not waited for; one that a busy machine delays must be, or it looks as if it knew
nothing."""

Answer = Union[QueryHistory, ShadowReport, str, None]


@dataclass(frozen=True)
class Question:
    """What query frontends are asked: what happened to a query, what an application's shadow answered, or metrics."""

    question_id: str
    query_id: int
    shadow_of: str = ""
    """The application; empty for other questions."""
    is_about_metrics: bool = False


class StateStore(ABC):
    """Holds the configuration, which the management frontend writes, and presence, which query frontends write.

    It also carries questions from the management frontend to the query frontends, with their answers, what they count
    for roll-outs, and the answers and scores that are kept for feedback.

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
        """Return what the query frontends know of a query, as far as they answer within three seconds."""

    @abstractmethod
    async def ask_shadow(self, application_name: str) -> list[ShadowReport]:
        """Return what an application's shadow answered at each query frontend that says so within three seconds."""

    @abstractmethod
    async def ask_metrics(self) -> list[str]:
        """Return what each query frontend has counted, as it encodes that, if it says so within three seconds."""

    @abstractmethod
    def questions(self) -> AsyncIterator[Question]:
        """Yield each question from now on; never ends by itself."""

    @abstractmethod
    async def answer_question(self, question_id: str, answer: Answer) -> None:
        """Answer a question; each query frontend does so once, also if it has no answer."""

    @abstractmethod
    async def write_roll_out_counts(self, roll_out_id: str, run_id: str, counts: RollOutCounts) -> None:
        """Store what one run of a query frontend has counted since a roll-out began, in place of its last counts."""

    @abstractmethod
    async def read_roll_out_counts(self, roll_out_id: str) -> RollOutCounts:
        """Return the sum of what all query frontends have counted, also those that have ended."""

    @abstractmethod
    async def write_roll_out_progress(self, roll_out_id: str, progress: RollOutProgress) -> None:
        """Store what was looked at in a roll-out."""

    @abstractmethod
    async def read_roll_out_progress(self, roll_out_id: str) -> RollOutProgress:
        """Return what was looked at in a roll-out; nothing at its start."""

    @abstractmethod
    async def hold_driver_lease(self, holder: str) -> bool:
        """Take or renew the right to drive roll-outs, for some seconds; return whether *holder* has it."""

    @abstractmethod
    async def count_start(self, index: int) -> int:
        """Return how often the query frontend of that number has started before; this start counts from now on."""

    @property
    @abstractmethod
    def feedback(self) -> FeedbackStore:
        """Where answers are kept for their feedback, and scores."""

    @property
    @abstractmethod
    def counts(self) -> CountStore:
        """Where query frontends keep what they have counted."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""
