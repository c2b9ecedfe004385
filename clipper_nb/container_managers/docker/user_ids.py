"""The user ids of a cluster's containers: chosen for the engine, and compared with the accounts of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.container_managers.docker.admin_folder import LOCAL_ENGINE
from clipper_nb.display.diagnosis import Finding
from clipper_nb.errors import ClusterStartError
from clipper_nb.images.docker_engine import DockerEngine, translated
from clipper_nb.images.user_ids import MAPPED, UNUSED, UserIds, check_mapped

_MAPPING = ("name=userns", "name=rootless")
"""How the engine's security options begin if users of its containers have other numbers outside."""
_SUBORDINATE_FILES = (Path("/etc/subuid"), Path("/etc/subgid"))


def choose_user_ids(engine: DockerEngine, asked: UserIds | None) -> UserIds:
    """Return the ids of a cluster's containers.

    Raises
    ------
    InvalidRequestError
        The engine does not know those that were asked for.
    ClusterStartError
        An account of this machine has one of them.
    """
    with translated("asking for its settings"):
        info = engine.client.info()
    if maps_user_ids(info):
        if asked is not None:
            check_mapped(asked)
        return asked or MAPPED
    ids = asked or UNUSED
    owners = find_owners(ids) if _is_here(engine) else []
    if owners:
        raise ClusterStartError(_explain(ids, owners))
    return ids


def check_ids(engine: DockerEngine, info: dict[str, Any], asked: UserIds | None) -> Finding:
    """Check which accounts the ids of containers may be."""
    if maps_user_ids(info):
        return Finding("User ids", "ok", "The engine maps user ids: no container has the id of an account.")
    ids = asked or UNUSED
    if not _is_here(engine):
        return Finding("User ids", "ok", f"Containers have the ids {ids}; accounts elsewhere are not checked.")
    owners = find_owners(ids)
    if owners:
        return Finding("User ids", "problem", _explain(ids, owners))
    return Finding("User ids", "ok", f"Containers have the ids {ids}, which no account has.")


def maps_user_ids(info: dict[str, Any]) -> bool:
    """Return whether an engine uses user namespaces, by what it tells of itself."""
    return any(str(option).startswith(_MAPPING) for option in info.get("SecurityOptions") or ())


def find_owners(ids: UserIds, files: Sequence[Path] = _SUBORDINATE_FILES) -> list[str]:
    """Return who has some of the ids: accounts, groups, and accounts with subordinate ids."""
    if sys.platform == "win32":
        return []
    return [*_accounts(ids), *(owner for path in files for owner in _subordinate_owners(ids, path))]


def _accounts(ids: UserIds) -> Iterator[str]:
    import grp
    import pwd

    for user in pwd.getpwall():
        if ids.first <= user.pw_uid <= ids.last:
            yield f"user {user.pw_name} ({user.pw_uid})"
    for group in grp.getgrall():
        if ids.first <= group.gr_gid <= ids.last:
            yield f"group {group.gr_name} ({group.gr_gid})"


def _subordinate_owners(ids: UserIds, path: Path) -> Iterator[str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        owner, _, numbers = line.partition(":")
        first, _, number = numbers.partition(":")
        if first.isdigit() and number.isdigit() and int(first) <= ids.last and ids.first < int(first) + int(number):
            yield f"{owner} ({path.name}: {numbers})"


def _explain(ids: UserIds, owners: Sequence[str]) -> str:
    return (
        f"Containers would have the user ids {ids}, of which some are taken on this machine: {', '.join(owners[:3])}. "
        f"Choose others: DockerContainerManager(container_user_ids=range(first, first + {UNUSED.number}))."
    )


def _is_here(engine: DockerEngine) -> bool:
    """Return whether the engine may be on this machine."""
    return bool(engine.client.api.base_url == LOCAL_ENGINE)
