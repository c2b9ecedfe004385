"""What the replicas of a version wrote, as one text."""

from __future__ import annotations

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import ModelNotFoundError
from clipper_nb.protocol.names import ModelId


class LogText(str):
    """A text that a cell shows line by line, as ``print`` does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def read_logs(manager: ContainerManager, management: ManagementClient, model_id: ModelId, max_lines: int) -> LogText:
    """Return the last lines of each replica of a version, each below its name.

    Raises
    ------
    ModelNotFoundError
        The version is neither registered nor running.
    """
    replicas = manager.observe_replicas(model_id)
    if not replicas and management.get_model(model_id) is None:
        known = [model.version for model in management.get_models() if model.name == model_id.name]
        raise ModelNotFoundError(*model_id, known)
    tails = {replica.name: manager.get_log_tail(replica.name, max_lines=max_lines) for replica in replicas}
    parts = (f"{name}:\n{tail.rstrip() or '(nothing)'}\n" for name, tail in tails.items())
    return LogText("\n".join(parts) or f"{model_id} has no replicas.\n")
