"""Begins autoscaling of a version: checks what the caller asks for, and brings its replicas within the bounds first."""

from __future__ import annotations

from typing import TypedDict

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.rollout import scale
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.autoscaling import (
    DEFAULT_PERIOD_S,
    DEFAULT_STABLE_S,
    DEFAULT_TARGET,
    Autoscaling,
    check_autoscaling,
)
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import NUM_REPLICAS


class ScalingOptions(TypedDict, total=False):
    """The keywords of ``set_num_replicas``."""

    min: int | None
    max: int | None
    target: float | None
    period_s: float | None
    stable_s: float | None
    timeout_s: float


def check_number_or_bounds(
    num_replicas: object,
    *,
    smallest: object,
    largest: object,
    target: object,
    period_s: object,
    stable_s: object,
) -> Autoscaling | None:
    """Return the bounds that a caller asks for, or ``None`` if it asks for a number of replicas.

    ``None`` stands for an omitted argument.

    Raises
    ------
    InvalidRequestError
        Both, or neither, or something is not what it should be.
    """
    of_scaling = {"min": smallest, "max": largest, "target": target, "period_s": period_s, "stable_s": stable_s}
    given = [f"{name}={value!r}" for name, value in of_scaling.items() if value is not None]
    if num_replicas is not None:
        if given:
            raise InvalidRequestError(
                f"set_num_replicas() takes a number, or bounds for autoscaling; got num_replicas={num_replicas!r} and "
                f"{', '.join(given)}. Pass num_replicas alone for a fixed number, or min and max."
            )
        NUM_REPLICAS.check(num_replicas)
        return None
    if smallest is None or largest is None:
        raise InvalidRequestError(
            f"set_num_replicas() needs num_replicas, or min and max for autoscaling; got {', '.join(given) or 'none'}. "
            "Pass num_replicas=2 for a fixed number, or min=1, max=8."
        )
    return check_autoscaling(
        min_replicas=smallest,
        max_replicas=largest,
        target=DEFAULT_TARGET if target is None else target,
        period_s=DEFAULT_PERIOD_S if period_s is None else period_s,
        stable_s=DEFAULT_STABLE_S if stable_s is None else stable_s,
    )


def autoscale(
    manager: ContainerManager,
    management: ManagementClient,
    model_id: ModelId,
    scaling: Autoscaling,
    *,
    timeout_s: float,
) -> None:
    """Let the cluster set how many replicas of a version run; when this returns, their number is within the bounds.

    Raises the errors of :func:`~clipper_nb.cluster.rollout.scale`.
    """
    number = manager.get_num_replicas(model_id)
    if number != scaling.nearest(number):
        scale(manager, management, model_id, scaling.nearest(number), timeout_s=timeout_s)
    with VersionClaim(management, model_id, is_new=False, wait_s=timeout_s) as claim:
        management.set_autoscaling(model_id, scaling, claim.claim_id)
