"""Which inputs may have ended a replica, and when each of them is tried again. (pure)

A replica that ends loses its batch. The frontend cannot see whether an input ended it, or a person with ``kill``. So
each input that it had is a suspect until a replica survives it:

- It is tried again separately from unsuspected inputs: alone, or together with other suspects of the same batch if
  there is not enough time for one at a time.
- One replica is kept for all other inputs while another is expected back. Only a query that has waited long for that
  other one, and would be lost, is tried at the last replica; and not if an input has been found to end replicas.
- When replicas have ended twice with it, and it was alone once, its queries immediately get an error, for a while.

Until a first replica has ended there is nothing to look up, and a query only checks ``is_watching``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.query import Computation

MEMORY_S = 600.0
"""How long an input is remembered after a replica ended with it, and how long a lost replica is expected back."""
MAX_INPUTS = 4096
"""The oldest are forgotten first; each takes some 300 bytes, independent of its size."""
TRIAL_SHARE = 0.5
"""Share of the time until a deadline within which all held inputs must be tried one after the other."""
PATIENCE_SHARE = 0.5
"""Share of its SLO that a query keeps for a trial at the last replica, after waiting for another one."""
LEAST_PATIENT_SLO_S = 1.0
"""With a shorter SLO it is given up instead: no replica comes back soon enough to save the last one."""
_CONDEMNING_DEATHS = 2


class Allowed(Enum):
    """Which suspects may be tried now."""

    NONE = "none"
    OVERDUE = "overdue"
    """Those that have waited so long for another replica that they would be lost."""
    ALL = "all"


@dataclass
class _Suspect:
    """One input, of which only a digest is kept."""

    num_deaths: int = 0
    """How many replicas ended while they computed it."""
    num_deaths_alone: int = 0
    """How many of these replicas computed nothing else."""
    until_s: float = 0.0
    computation: Computation | None = None
    """The computation that waits for its trial or is being tried; all queries with that input share it."""

    @property
    def is_condemned(self) -> bool:
        """True if replicas have ended with it too often for chance."""
        return self.num_deaths >= _CONDEMNING_DEATHS and self.num_deaths_alone > 0

    @property
    def may_have_company(self) -> bool:
        """True if it is one of many inputs that one replica ended with."""
        return self.num_deaths == 1 and self.num_deaths_alone == 0


class Suspects:
    """The suspected inputs of one model version.

    Parameters
    ----------
    model_id : ModelId
    """

    def __init__(self, model_id: ModelId) -> None:
        self._model_id = model_id
        self._inputs: dict[int, _Suspect] = {}  # by the payload's hash, which Python seeds; the oldest come first
        self._held: dict[int, _Suspect] = {}  # those of them that wait to be tried
        self._absent_until_s: deque[float] = deque()  # lost replicas that may come back
        self._trusted_from_s = -math.inf
        self.is_watching = False
        """True if any input is suspected."""

    @property
    def has_held(self) -> bool:
        """True if a computation waits to be tried separately."""
        return bool(self._held)

    def count_held(self) -> int:
        """Return how many wanted computations wait to be tried separately."""
        self._drop_unwanted()
        return len(self._held)

    def is_held(self, computation: Computation) -> bool:
        """Return whether *computation* waits to be tried separately."""
        suspect = self._held.get(hash(computation.payload))
        return suspect is not None and suspect.computation is computation

    # --- replicas

    def replica_lost(self, *, now_s: float) -> None:
        """Record that a replica ended without a goodbye and is expected back."""
        self._absent_until_s.append(now_s + MEMORY_S)

    def replica_joined(self) -> None:
        """Record that a replica connected, perhaps again."""
        if self._absent_until_s:
            self._absent_until_s.popleft()

    def allowed(self, num_spared: int, num_exposed: int, *, now_s: float) -> Allowed:
        """Return what may be tried at one more of *num_spared* replicas, while *num_exposed* others try suspects."""
        while self._absent_until_s and self._absent_until_s[0] <= now_s:
            self._absent_until_s.popleft()
        if num_spared > 1:
            return Allowed.ALL
        if num_spared == 0 or num_exposed:
            return Allowed.NONE
        if not self._absent_until_s:  # no other replica is expected
            return Allowed.ALL
        return Allowed.NONE if now_s < self._trusted_from_s else Allowed.OVERDUE

    # --- verdicts

    def accuse(self, batch: Sequence[Computation], *, now_s: float) -> bool:
        """Record that a replica ended while it computed *batch*; return whether one of its inputs is now condemned."""
        # A released large input cannot be identified any more, but it was in the batch.
        payloads = {hash(computation.payload) for computation in batch if not computation.is_forgotten}
        was_alone = len(payloads) == 1 and not any(computation.is_forgotten for computation in batch)
        is_found = False
        for key in payloads:
            suspect = self._inputs.pop(key, None) or _Suspect()
            self._held.pop(key, None)
            suspect.num_deaths += 1
            suspect.num_deaths_alone += was_alone
            suspect.until_s = now_s + MEMORY_S
            is_found = is_found or suspect.is_condemned
            waiting = suspect.computation
            suspect.computation = None
            self._inputs[key] = suspect
            if waiting is not None and waiting.sent_s is None:  # another copy of the input was tried
                self.hold(waiting, now_s=now_s)
        if is_found:
            self._trusted_from_s = now_s + MEMORY_S
        self._forget_old(now_s)
        return is_found

    def acquit(self, batch: Iterable[Computation]) -> list[Computation]:
        """Record that a replica survived *batch*; return the computations that no longer need to wait."""
        released = []
        for computation in batch:
            key = hash(computation.payload)
            suspect = self._inputs.pop(key, None)
            if suspect is not None and self._held.pop(key, None) is not None and suspect.computation is not None:
                released.append(suspect.computation)
        self.is_watching = bool(self._inputs)
        return released

    # --- computations

    def hold(self, computation: Computation, *, now_s: float) -> bool:
        """Hold back a computation of a suspected input, or fail it; return whether it was suspected."""
        key = hash(computation.payload)
        suspect = self._inputs.get(key)
        if suspect is None:
            return False
        if suspect.until_s <= now_s and suspect.computation is None:
            self._forget(key)
            return False
        if suspect.is_condemned:
            computation.fail(
                f"Replicas of {self._model_id} ended when they computed this input before ({suspect.num_deaths} "
                f"times); it is not computed again for {MEMORY_S / 60:g} minutes."
            )
            return True
        known = suspect.computation
        if known is None or known is computation or not (known.is_wanted or known.sent_s is not None):
            suspect.computation = computation
            self._held[key] = suspect
        else:
            _merge(computation, known)
        return True

    def take(self, allowed: Allowed, *, alone_s: float, max_size: int, now_s: float) -> list[Computation]:
        """Remove and return what to try next at one replica, which takes *alone_s* for one input."""
        if allowed is Allowed.NONE:
            return []
        self._drop_unwanted()
        taken: list[Computation] = []
        size = 1
        for key, suspect in list(self._held.items()):
            computation = suspect.computation
            assert computation is not None
            if allowed is Allowed.OVERDUE and now_s < patience_ends_s(computation):
                continue
            if not taken and suspect.may_have_company:
                size = min(max_size, self._trial_size(alone_s, computation.deadline_s - now_s))
            elif taken and not suspect.may_have_company:
                continue
            del self._held[key]
            taken.append(computation)
            if len(taken) >= size:
                break
        return taken

    def clear(self) -> list[Computation]:
        """Forget all inputs; return the held computations."""
        waiting = [suspect.computation for suspect in self._held.values() if suspect.computation is not None]
        self._held.clear()
        self._inputs.clear()
        self.is_watching = False
        return waiting

    def _trial_size(self, alone_s: float, budget_s: float) -> int:
        """Return how many to try at once so that all are tried within *budget_s*; one, if there is enough time."""
        num_trials = max(1.0, TRIAL_SHARE * budget_s / alone_s) if alone_s > 0 else math.inf
        return max(1, math.ceil(len(self._held) / num_trials))

    def _drop_unwanted(self) -> None:
        for key, suspect in list(self._held.items()):
            computation = suspect.computation
            if computation is None or not computation.is_wanted:
                del self._held[key]
                suspect.computation = None
                if computation is not None:
                    computation.abandon()

    def _forget_old(self, now_s: float) -> None:
        for key, suspect in list(self._inputs.items()):
            if suspect.computation is None and (suspect.until_s <= now_s or len(self._inputs) > MAX_INPUTS):
                del self._inputs[key]
        self.is_watching = bool(self._inputs)

    def _forget(self, key: int) -> None:
        del self._inputs[key]
        self.is_watching = bool(self._inputs)


def patience_ends_s(computation: Computation) -> float:
    """Return when a computation may first be tried at the last replica."""
    if computation.slo_s < LEAST_PATIENT_SLO_S:
        return math.inf
    return computation.deadline_s - PATIENCE_SHARE * computation.slo_s


def _merge(computation: Computation, known: Computation) -> None:
    """Let *known*, which has the same input, answer the queries of *computation* too."""
    computation.abandon()
    if known.queries and known.queries[0].is_answered:
        known.queries = [query for query in known.queries if not query.is_answered]
    for query in computation.queries:
        known.join(query)
    known.deadline_s = min(known.deadline_s, computation.deadline_s)
    known.slo_s = min(known.slo_s, computation.slo_s)
