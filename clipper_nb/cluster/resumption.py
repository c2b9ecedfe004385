"""Starts the replicas of a resumed cluster, whose configuration says how many of which version should run."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import replace
from functools import partial

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_wait import wait_for_replicas
from clipper_nb.cluster.rollout import set_num_replicas, stored_version
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.uninterrupted import uninterrupted
from clipper_nb.display.long_lists import count
from clipper_nb.display.progress import Progress
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.descriptions import VersionInfo
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE

logger = logging.getLogger(__name__)

_LONGEST_LOAD_S = 600.0
"""All models load at the same time."""
_CLAIM_TIMEOUT_S = 10.0
"""A scale that the end of the cluster cut off holds its version for two seconds more."""


def resume_replicas(manager: ContainerManager, management: ManagementClient, progress: Progress) -> None:
    """Return when each version has the replicas that it had, or its replicas have failed to start; that is logged.

    A Ctrl-C waits until all are started, since nothing else would start them; it does not wait until they have loaded.
    """
    with contextlib.ExitStack() as claims:
        wanted, started = uninterrupted(partial(_start_all, manager, management, claims))
        progress.step(_describe(management, wanted))
        for version, claim in started:
            _wait(manager, management, version, claim)


def _has_replicas(version: VersionInfo) -> bool:
    return bool(version.num_replicas) and version.image != CONTAINERLESS_IMAGE


def _wanted(management: ManagementClient, version: VersionInfo) -> NewVersion:
    number = version.num_replicas or 0
    return replace(stored_version(management, version), num_replicas=number, timeout_s=_LONGEST_LOAD_S)


def _start_all(
    manager: ContainerManager, management: ManagementClient, claims: contextlib.ExitStack
) -> tuple[list[NewVersion], list[tuple[NewVersion, VersionClaim]]]:
    """Return the versions that have replicas, and those whose replicas could be started, which load under a claim."""
    wanted = [_wanted(management, version) for version in management.get_models() if _has_replicas(version)]
    claimed = [(version, _start(manager, management, version, claims)) for version in wanted]
    return wanted, [(version, claim) for version, claim in claimed if claim is not None]


def _start(
    manager: ContainerManager, management: ManagementClient, wanted: NewVersion, claims: contextlib.ExitStack
) -> VersionClaim | None:
    """Start the replicas of a version; return the claim under which they load."""
    try:
        claim = claims.enter_context(VersionClaim(management, wanted.model_id, is_new=False, wait_s=_CLAIM_TIMEOUT_S))
        set_num_replicas(manager, wanted)
    except ClipperException as exc:  # its image is gone, or another caller stopped it already
        logger.warning("%s has no replicas again: %s", wanted.model_id, exc)
        return None
    return claim


def _wait(manager: ContainerManager, management: ManagementClient, wanted: NewVersion, claim: VersionClaim) -> None:
    try:
        wait_for_replicas(
            manager, management, claim, wanted, observed_before=(), started_s=time.monotonic()
        )  # fmt: skip
    except ClipperException as exc:
        logger.warning("%s is resumed without all of its replicas, which are tried again: %s", wanted.model_id, exc)


def _describe(management: ManagementClient, wanted: list[NewVersion]) -> str:
    parts = (
        count(len(management.get_applications()), "application"),
        count(len(management.get_models()), "model version"),
        count(sum(version.num_replicas for version in wanted), "replica"),
    )
    return f"Resume {', '.join(parts)}"
