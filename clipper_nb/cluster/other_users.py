"""Whether other people use this machine: then a cluster's query frontend asks for a token by default.

Every process of this machine reaches loopback. Whether other people have any is decided by facts that cost nothing to
read, and in favour of a token where they leave it open: with one, only other programs than this notebook notice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HUB_VARIABLES = ("JUPYTERHUB_USER", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_TOKEN")
_FIRST_PERSON = 1000
_SERVICES = range(60_001, 65_536)
"""User ids that systemd gives to services and containers, and ``nobody``."""
_NO_LOGIN = {"", "nologin", "false", "sync", "halt", "shutdown", "git-shell"}
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_VARIABLES = ("KUBERNETES_SERVICE_HOST", "container")


@dataclass(frozen=True)
class Account:
    """A line of ``/etc/passwd``."""

    name: str
    user_id: int
    home: str
    shell: str

    @property
    def is_of_a_person(self) -> bool:
        """True if a person may log in with it."""
        is_person = self.user_id >= _FIRST_PERSON and self.user_id not in _SERVICES
        return is_person and os.path.basename(self.shell) not in _NO_LOGIN


@dataclass(frozen=True)
class MachineFacts:
    """The facts by which is decided whether other people use this machine."""

    user_id: int
    accounts: Sequence[Account] = ()
    homes: frozenset[str] = frozenset()
    """Those of the accounts' home folders that exist."""
    logged_in: Sequence[str] = ()
    """Names of the users that are logged in."""
    is_container: bool = False
    variables: Mapping[str, str] | None = None


def find_other_users(facts: MachineFacts) -> str | None:
    """Return a clause that says why others may reach this machine's loopback, or ``None`` for a machine of one's own.

    Root counts as nobody else, since a token hides nothing from it; behind ``sudo`` the caller is one person with two
    names. Images of containers bring accounts that nobody uses, so there only those who are logged in count. (pure)
    """
    variables = facts.variables or {}
    if any(variables.get(name) for name in _HUB_VARIABLES):
        return "JupyterHub runs this notebook"
    own_ids = {facts.user_id, _whole(variables.get("SUDO_UID", ""))}
    ids = {account.name: account.user_id for account in facts.accounts}
    own_names = {variables.get("SUDO_USER"), *(name for name, user_id in ids.items() if user_id in own_ids)}
    for name in sorted(set(facts.logged_in) - own_names):
        if ids.get(name, _FIRST_PERSON) >= _FIRST_PERSON:
            return f"{name} is logged in on this machine"
    if facts.is_container:
        return None
    others = [
        account.name
        for account in facts.accounts
        if account.is_of_a_person and account.user_id not in own_ids and account.home in facts.homes
    ]
    return f"{min(others)} has an account on this machine" if others else None


def observe_machine(variables: Mapping[str, str] = os.environ) -> MachineFacts:
    """Return the facts of this machine; what cannot be read counts as nothing."""
    accounts = _read_accounts(Path("/etc/passwd"))
    is_container = any(os.path.exists(path) for path in _CONTAINER_FILES) or any(
        variables.get(name) for name in _CONTAINER_VARIABLES
    )
    return MachineFacts(
        user_id=os.getuid() if hasattr(os, "getuid") else -1,
        accounts=accounts,
        homes=frozenset(account.home for account in accounts if account.is_of_a_person and os.path.isdir(account.home)),
        logged_in=_logged_in(),
        is_container=is_container,
        variables=variables,
    )


def _read_accounts(path: Path) -> list[Account]:
    # Not pwd.getpwall(): it would ask the network's directory for all accounts of an organisation.
    accounts = []
    with contextlib.suppress(OSError):
        for line in path.read_text(errors="replace").splitlines():
            fields = line.split(":")
            user_id = _whole(fields[2]) if len(fields) == 7 else None
            if user_id is not None:
                accounts.append(Account(fields[0], user_id, fields[5], fields[6].strip()))
    return accounts


def _logged_in() -> list[str]:
    import psutil  # only a start needs it

    with contextlib.suppress(OSError, psutil.Error):
        return [user.name for user in psutil.users()]
    return []


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
