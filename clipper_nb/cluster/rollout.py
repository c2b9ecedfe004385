"""Starts, scales and stops versions: replicas start before queries switch to them, and end after the last query."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.new_version import NewVersion, registered_version
from clipper_nb.cluster.replica_wait import wait_for_replicas
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.display.progress import QUIET, Progress, show_progress
from clipper_nb.errors import (
    ClipperException,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
)
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.descriptions import VersionInfo
from clipper_nb.protocol.environment_variables import NO_VARIABLES, EnvironmentVariables
from clipper_nb.protocol.model_folder import FileReader, read_provenance
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE


def start_and_register(
    manager: ContainerManager,
    management: ManagementClient,
    claim: VersionClaim,
    new: NewVersion,
    *,
    read_files: FileReader,
    build_image: Callable[[], str] | None = None,
    remove_image: Callable[[], None] | None = None,
    meanwhile: Callable[[str], None] | None = None,
) -> None:
    """Start replicas of a claimed version and, when all are connected, make it current; else stop what was started.

    *read_files* returns files of the model's folder, which are stored with the version. *build_image* returns the image
    if *new* has none yet; *remove_image* is called when the deploy fails, also while the image is built; *meanwhile*
    with the image, once its replicas were told to start. When the reply to the last step is lost and it is not known
    whether the version is current, its replicas keep running: the cluster stops them if it is not.

    Raises
    ------
    DeploymentError
        The replicas do not come up.
    ClaimLostError
        The version was stopped by another caller meanwhile.
    """
    versions = {new.model_id.name: [new.model_id.version]}
    was_asked_for = False
    try:
        if build_image is not None:
            new = replace(new, image=build_image())
        if manager.observe_replicas(new.model_id):
            manager.stop_models(versions)  # left by a caller that was killed a moment ago
        with show_progress(new.progress_title) as progress:
            _scale(
                manager, management, claim, new, progress, before=(),
                meanwhile=None if meanwhile is None else partial(meanwhile, new.image),
            )  # fmt: skip
            what = "Make {} the current version" if new.becomes_current else "Register {}"
            progress.step(what.format(new.model_id.version))
            was_asked_for = True
            management.register_model(new.registration(read_provenance(read_files), claim.claim_id))
            claim.ended()
    except BaseException:
        # Also when the user interrupts the cell: what was started must not stay, unless the version is registered.
        if not (was_asked_for or claim.is_lost) or claim.take_back():
            with contextlib.suppress(ClipperException):
                manager.stop_models(versions)
            if remove_image is not None:
                with contextlib.suppress(ClipperException):
                    remove_image()
        raise


def scale(
    manager: ContainerManager, management: ManagementClient, model_id: ModelId, num_replicas: int, *, timeout_s: float
) -> None:
    """Start or stop replicas of a registered version; when new ones do not start, stop those again.

    This ends its autoscaling.

    Raises
    ------
    DeploymentError
        New replicas do not come up.
    ModelNotFoundError
        There is no such version.
    ClaimLostError
        The version was stopped by another caller meanwhile.
    InvalidRequestError
        It is a containerless model.
    """
    record = management.get_model(model_id)
    if record is None:
        raise ModelNotFoundError(*model_id)
    if record.image == CONTAINERLESS_IMAGE:
        raise InvalidRequestError(
            f"{model_id} is a containerless model: it was registered without an image, so clipper_nb cannot "
            "scale it. Start or stop its processes yourself."
        )
    wanted = replace(stored_version(management, record), num_replicas=num_replicas, timeout_s=timeout_s)
    ends = "" if record.autoscaling is None else f"; its autoscaling ends ({record.autoscaling.bounds} replicas)"
    with (
        VersionClaim(management, model_id, is_new=False, wait_s=timeout_s) as claim,
        show_progress(f"Scale {model_id} to {num_replicas}{ends}") as progress,
    ):
        observed = manager.observe_replicas(model_id)
        before = len(observed)
        if num_replicas < before:  # stored first, so that the cluster completes a scale that is cut off
            management.set_num_replicas(model_id, num_replicas, claim.claim_id)
        try:
            _scale(manager, management, claim, wanted, progress, before=observed)
            if num_replicas >= before:
                management.set_num_replicas(model_id, num_replicas, claim.claim_id)
        except BaseException:  # also when the user interrupts the cell; only stops, since the version may be gone
            with contextlib.suppress(ClipperException):
                left = min(before, manager.get_num_replicas(model_id))
                set_num_replicas(manager, replace(wanted, num_replicas=left))
            raise


def stored_version(management: ManagementClient, record: VersionInfo) -> NewVersion:
    """Return a registered version with what its replicas depend on, also the values of its environment variables."""
    if not record.environment_variables:  # as of every version of an older frontend
        return registered_version(record, NO_VARIABLES)
    return registered_version(record, EnvironmentVariables(management.get_environment_variables(record.model_id)))


def _scale(
    manager: ContainerManager,
    management: ManagementClient,
    claim: VersionClaim,
    wanted: NewVersion,
    progress: Progress,
    *,
    before: Sequence[ObservedContainer],
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Start or stop replicas, of which *before* run, and return when as many as wanted are connected."""
    started_s = time.monotonic()
    set_num_replicas(manager, wanted, progress)
    if meanwhile is not None:
        meanwhile()
        started_s = time.monotonic()  # the replicas may have waited for it
    progress.step(f"Wait until {wanted.num_replicas} replicas of {wanted.model_id} have loaded the model")
    wait_for_replicas(manager, management, claim, wanted, observed_before=before, started_s=started_s)


def set_num_replicas(manager: ContainerManager, wanted: NewVersion, progress: Progress = QUIET) -> None:
    """Start or stop replicas of a version to reach its number, without waiting for them."""
    manager.set_num_replicas(
        wanted.model_id,
        input_type=wanted.input_type,
        image=wanted.image,
        num_replicas=wanted.num_replicas,
        load_timeout_s=wanted.timeout_s,
        limits=wanted.limits,
        environment=wanted.environment(),
        network_access=wanted.network_access,
        progress=progress,
    )


def unregister_and_stop(
    manager: ContainerManager, management: ManagementClient, wanted: Sequence[ModelId], registered: Collection[ModelId]
) -> None:
    """Unregister the wanted versions that are registered, and then stop the replicas of all that are wanted."""
    # Unregister first, so that no query reaches a replica that ends.
    for model_id in wanted:
        if model_id in registered:
            with contextlib.suppress(NotFoundError):  # another caller was faster
                management.unregister_model(model_id)
    versions: dict[str, list[str]] = {}
    for model_id in wanted:
        versions.setdefault(model_id.name, []).append(model_id.version)
    manager.stop_models(versions)
