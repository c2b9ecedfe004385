"""Starts more replicas of a registered version, from what the cluster knows of it alone."""

from __future__ import annotations

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.protocol.environment_variables import replica_variables
from clipper_nb.protocol.names import ModelId

_LONGEST_LOAD_S = 600.0
"""Nobody waits for them, and how long their deploy could wait is not kept."""


def start_more(manager: ContainerManager, management: ManagementClient, model_id: ModelId, number: int) -> None:
    """Start replicas of a version until so many run, without waiting for them; a version that is gone is fine."""
    record = management.get_model(model_id)
    if record is None:
        return
    values = management.get_environment_variables(model_id) if record.environment_variables else {}
    manager.set_num_replicas(
        model_id,
        input_type=record.input_type,
        image=record.image,
        num_replicas=number,
        load_timeout_s=_LONGEST_LOAD_S,
        limits=record.limits,
        environment=replica_variables(values, text_outputs=record.text_outputs, hang_timeout_s=record.hang_timeout_s),
        network_access=record.network_access,
    )
