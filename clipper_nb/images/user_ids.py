"""Which user ids containers have: a range in which no machine has accounts. (pure)"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS
from clipper_nb.protocol.names import ModelId

_OFFSETS = {QUERY_FRONTEND: 1, MANAGEMENT_FRONTEND: 2, REDIS: 3}
_NUM_RESERVED = 4
_SMALLEST_NUMBER = 16
_LARGEST_ID = 2**31 - 2
_NUM_MAPPED = 2**16


@dataclass(frozen=True)
class UserIds:
    """A range of user ids; a container's group has the same number as its user.

    The first is that of containers that somebody starts by hand. The next are those of the core's containers, and the
    others are shared out among the versions of models.
    """

    first: int
    number: int = 1024

    @property
    def last(self) -> int:
        """The last one."""
        return self.first + self.number - 1

    @property
    def by_hand(self) -> str:
        """User and group of a container that no cluster started."""
        return _user(self.first)

    def of_core(self, role: str) -> str:
        """Return user and group of one of the core's containers."""
        return _user(self.first + _OFFSETS[role])

    def of_version(self, cluster: str, model_id: ModelId) -> str:
        """Return user and group of a version's replicas: the same ones at each start.

        Two versions have the same ones by chance, as seldom as the range is large.
        """
        digest = hashlib.sha256("\0".join((cluster, *model_id)).encode()).digest()
        return _user(self.first + _NUM_RESERVED + int.from_bytes(digest[:8], "big") % (self.number - _NUM_RESERVED))

    def of_monitoring(self, cluster: str) -> str:
        """Return user and group of a cluster's Prometheus and Grafana: as of a version, whose name is never empty."""
        return self.of_version(cluster, ModelId("monitoring", ""))

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


UNUSED = UserIds(2_013_265_920)
"""Above what ``useradd``, subordinate ids, systemd and sssd give away, and below what programs take for negative."""
MAPPED = UserIds(10_001)
"""On an engine that maps user ids: it knows 65,536 of them, and gives each another number outside of containers."""


def encode_user_ids(ids: UserIds) -> str:
    """Return the text of a container's label."""
    return f"{ids.first}+{ids.number}"


def decode_user_ids(text: str) -> UserIds:
    """Return the ids in the text of a container's label."""
    first, number = text.split("+")
    return UserIds(int(first), int(number))


def check_user_ids(asked: object) -> UserIds:
    """Return the ids of a range; raises :class:`InvalidRequestError` if containers cannot have them."""
    if not isinstance(asked, range) or asked.step != 1:
        raise InvalidRequestError(
            f"container_user_ids must be a range of numbers, such as {_as_range(UNUSED)}; got {asked!r}."
        )
    if len(asked) < _SMALLEST_NUMBER or asked[0] < 1 or asked[-1] > _LARGEST_ID:
        raise InvalidRequestError(
            f"container_user_ids must be at least {_SMALLEST_NUMBER} numbers from 1 to {_LARGEST_ID}, such as "
            f"{_as_range(UNUSED)}; got {asked!r}."
        )
    return UserIds(asked[0], len(asked))


def check_mapped(ids: UserIds) -> None:
    """Raise :class:`InvalidRequestError` if an engine that maps user ids does not know these."""
    if ids.last >= _NUM_MAPPED:
        raise InvalidRequestError(
            f"container_user_ids are {ids}, but this engine maps user ids (user namespaces), and knows those below "
            f"{_NUM_MAPPED}. Leave the argument out: the engine's containers have no account's id here in any case."
        )


def _user(number: int) -> str:
    return f"{number}:{number}"


def _as_range(ids: UserIds) -> str:
    return f"range({ids.first}, {ids.last + 1})"
