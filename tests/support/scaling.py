"""Autoscaled versions whose numbers tests choose."""

from __future__ import annotations

from clipper_nb import ClipperConnection
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.protocol.names import ModelId


def want_replicas(conn: ClipperConnection, name: str, version: str, number: int) -> None:
    """Let the cluster want that many replicas of an autoscaled version, as under load; nothing is started here."""
    manager, model_id = conn.cm, ModelId(name, version)
    management = ManagementClient.at(manager.get_admin_endpoint(), manager.get_admin_token(), manager.get_trust())
    with VersionClaim(management, model_id, is_new=False, wait_s=10) as claim:
        management.set_autoscaling(model_id, Autoscaling(number, number + 1), claim.claim_id)
    management.close()
