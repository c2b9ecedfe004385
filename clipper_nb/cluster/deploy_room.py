"""Checks that a cluster has room for a new version: one request, before anything slow starts."""

from __future__ import annotations

from dataclasses import replace

from clipper_nb.clients.cluster_version import check_versions, read_version
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import InputTypeConflictError, NotFoundError, VersionExistsError
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import DeployState


def find_room(manager: ContainerManager, management: ManagementClient, new: NewVersion) -> NewVersion:
    """Return the version with the state of the cluster, which has room for it, and with what follows from that state:

    the next number, and the rule of autoscaling, if the caller named none.

    Raises
    ------
    IncompatibleClusterError
        The cluster runs another release of clipper_nb.
    VersionExistsError
        The version is registered.
    InputTypeConflictError
        An application that is linked to the model takes another input type.
    """
    state = _read_state(manager, management, new.model_id)
    releases = state.query_frontend_releases
    if not releases:  # no query frontend has reported yet
        releases = [read_version(manager.get_query_url(), "query frontend", manager.get_trust())]
    check_versions(manager.cluster_name, [state.release, *releases])
    if state.is_registered:
        raise VersionExistsError(*new.model_id, state.next_version)
    for application, input_type in state.linked_input_types.items():
        if input_type != new.input_type:
            raise InputTypeConflictError(new.model_id.name, new.input_type, application, input_type)
    return replace(new, before=state).numbered(state.next_version).scaled_as(state)


def _read_state(manager: ContainerManager, management: ManagementClient, model_id: ModelId) -> DeployState:
    try:
        return management.get_deploy_state(model_id)
    except NotFoundError:  # an older release does not have that call
        release = read_version(manager.get_admin_endpoint(), "management frontend", manager.get_trust())
        check_versions(manager.cluster_name, [release])
        raise
