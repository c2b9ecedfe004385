"""What a client accepts, whether it waits or awaits. (pure)"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from clipper_nb.client.address import Authority, checked_token, frontend_root, read_trust
from clipper_nb.clients.predict_parts import PartLimits
from clipper_nb.clients.query_steps import QuerySteps, ask_query_frontend, columns_of_current
from clipper_nb.clients.trust import Trust
from clipper_nb.cluster.argument_checks import check_key, check_timeout, check_whole
from clipper_nb.protocol.names import known_name, known_version
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS

DEFAULT_PART_INPUTS: Final = 256
"""With more, a frontend reads and answers a request in slices, between which it serves other clients."""
DEFAULT_PART_SIZE_BYTES: Final = 1024 * 1024
WHAT: Final = "query frontend"


@dataclass(frozen=True)
class Target:
    """The query frontend that a client asks.

    Attributes
    ----------
    root : str
        Its URL.
    token : str or None
    trust : Trust or None
        How it proves itself over TLS.
    """

    root: str
    token: str | None = field(repr=False)
    trust: Trust | None


def read_target(url: str, token: str | None, ca: Authority) -> Target:
    """Return the target of a client's arguments; raises ``InvalidRequestError`` for the first that is wrong."""
    trust = read_trust(ca)
    return Target(frontend_root(url, has_authority=trust is not None), checked_token(token), trust)


def make_steps(part_inputs: int, part_size_bytes: int) -> QuerySteps:
    """Return the steps of calls whose batches are split so."""
    check_whole("part_inputs", part_inputs, 1, MAX_BATCH_INPUTS)
    check_whole("part_size_bytes", part_size_bytes, 1)
    return QuerySteps(ask_query_frontend, columns_of_current, PartLimits(part_inputs, part_size_bytes))


@dataclass(frozen=True)
class Call:
    """A call's checked arguments besides its inputs."""

    app_name: str
    version: str | None
    key: str | None
    timeout_s: float | None

    @classmethod
    def of(cls, app_name: Any, version: Any, key: Any, timeout_s: Any) -> Call:
        """Return the checked arguments; raises ``InvalidRequestError`` for the first that is wrong."""
        if timeout_s is not None:
            check_timeout(timeout_s)
        checked = None if version is None else known_version(version)
        return cls(known_name("application name", app_name), checked, check_key(key), timeout_s)
