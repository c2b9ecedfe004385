"""Chooses the token that clients of a new cluster's applications need, if any."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from clipper_nb.cluster.other_users import MachineFacts, find_other_users, observe_machine
from clipper_nb.errors import InvalidRequestError

logger = logging.getLogger(__name__)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,256}", re.ASCII)
_TOKEN_SIZE_BYTES = 32


def new_token() -> str:
    """Return a token that cannot be guessed: 256 random bits as text for URLs."""
    return secrets.token_urlsafe(_TOKEN_SIZE_BYTES)


@dataclass(frozen=True)
class ChosenToken:
    """The token of a cluster that starts for the first time."""

    token: str = field(repr=False)
    """Empty for a cluster that asks for none."""
    because: str | None = None
    """Why there is one although the user did not ask for it."""

    def tell(self, cluster_name: str, token_in_use: str | None) -> None:
        """Log that clients need a token, unless the user asked for it; a resumed cluster may use another, or none."""
        if self.because is not None and token_in_use == self.token:
            logger.warning(
                "Clients of cluster '%s' need its token (conn.query_token), because %s. "
                "start_clipper(query_token=False) turns this off.", cluster_name, self.because,
            )  # fmt: skip


def choose_query_token(
    wanted: object, observe: Callable[[], MachineFacts] = observe_machine, *, others_reach: str | None = None
) -> ChosenToken:
    """Return the token of a new cluster.

    *wanted* is the token, or ``True`` for a new one; ``False`` for none. With ``None`` there is one if *others_reach*
    the query frontend, a clause that says why, or if this machine has other users. Raises ``InvalidRequestError``,
    whose message has no part of the token.
    """
    if wanted is None:
        because = others_reach or find_other_users(observe())
        return ChosenToken("" if because is None else new_token(), because)
    if isinstance(wanted, bool):
        return ChosenToken(new_token() if wanted else "")
    if not isinstance(wanted, str) or not _TOKEN.fullmatch(wanted):
        raise InvalidRequestError(
            "query_token must be True, False, None, or a text of 16 to 256 characters that are letters, digits or any "
            "of '._~+/-'. Pass True to get one that cannot be guessed."
        )
    return ChosenToken(wanted)
