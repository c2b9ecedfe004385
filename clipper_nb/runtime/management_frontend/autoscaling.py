"""Decides how many replicas an autoscaled version needs, from what was observed of it. (pure)

It grows by what queries wait: in proportion, as Kubernetes' HorizontalPodAutoscaler does (``ceil(current * observed /
target)``, with the same tolerance of a tenth). It shrinks by what replicas work: waiting says nothing about how much
fewer of them could do, because it is nearly nothing until it is too much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.runtime.management_frontend.load_history import Load

TOLERANCE = 0.1
"""By which share of the target waiting may exceed it."""
MAX_BUSY = 0.7
"""The share of their time that the replicas which stay may be busy: beyond it, queues grow fast."""
MIN_FALL = 0.25
"""By which share the work must have fallen before a number that was too few is tried again."""


@dataclass(frozen=True)
class Step:
    """Another number of replicas, and why."""

    num_replicas: int
    reason: str
    too_few_work: float = 0.0
    """For a step up: how many replicas' time was used, when the number was too few."""


def grow(scaling: Autoscaling, current: int, load: Load) -> Step | None:
    """Return the step up that the load of *current* replicas needs, or ``None``."""
    if current >= scaling.max_replicas or load.waiting <= (1 + TOLERANCE) * scaling.target:
        return None
    wanted = math.ceil(current * load.waiting / scaling.target)
    reason = f"waiting took {load.waiting:.0%} of the SLO for {scaling.period_s:g} s"
    return Step(scaling.nearest(wanted), reason.replace("%", " %"), load.work)


def can_shrink(scaling: Autoscaling, current: int, load: Load) -> bool:
    """Return whether one replica less would do, too.

    The work of those that stay is estimated from above: batches that grow take less time for each query.
    """
    fewer = current - 1
    if fewer < scaling.min_replicas or load.waiting > scaling.target or load.work > MAX_BUSY * fewer:
        return False
    return fewer > scaling.too_few or load.work <= (1 - MIN_FALL) * scaling.too_few_work


def shrink(scaling: Autoscaling, current: int, load: Load) -> Step:
    """Return the step down after one replica less would have done for long enough."""
    fewer = current - 1
    busy = f"{load.work / current:.0%}".replace("%", " %")
    would = f"for {scaling.stable_s:g} s {fewer} would have been enough"
    return Step(fewer, f"{would}, as {current} were busy for {busy} of their time")
