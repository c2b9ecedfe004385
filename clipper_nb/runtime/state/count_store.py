"""Where query frontends keep what they have counted: each its own counts, and the sum over those that have ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

PAST = ""
"""In place of a run: the sum over runs that have ended."""


class CountStore(ABC):
    """Keeps texts by the runs of query frontends that wrote them; a run is one process of a frontend.

    Every method raises ``StateUnavailableError`` if the store does not answer.
    """

    @abstractmethod
    async def keep(self, run: str, counts: str) -> bool:
        """Store what a run has counted, in place of what it stored before; return ``False`` if it was merged."""

    @abstractmethod
    async def read(self) -> Mapping[str, str]:
        """Return what is kept, by run; what was merged is that of ``PAST``."""

    @abstractmethod
    async def merge(self, ended: Mapping[str, str], past: str | None, merged: str) -> bool:
        """Put *merged* in place of *past* and of all that the *ended* runs have stored, and refuse these from then on.

        Returns ``False``, and changes nothing, if one of them is different from what is stored.
        """
