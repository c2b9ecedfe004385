"""Which cores of the machine a replica with a limit may use: whole ones, spread evenly over the replicas. (pure)"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

Cores = frozenset[int]


def choose_cores(cpus: float | None, available: Iterable[int], taken: Iterable[Cores]) -> Cores | None:
    """Return the cores of a new replica: as many as *cpus*, rounded up, of those that fewest others are limited to.

    ``None`` if it may use all, because it has no limit or the machine has no more than that.

    Parameters
    ----------
    cpus : float, optional
        Its limit.
    available : iterable of int
        The numbers of the cores that this cluster may use.
    taken : iterable of frozenset
        The cores of each other replica that has a limit.
    """
    cores = sorted(available)
    if cpus is None or math.ceil(cpus) >= len(cores):
        return None
    uses = Counter(core for each in taken for core in each)
    return frozenset(sorted(cores, key=lambda core: uses[core])[: math.ceil(cpus)])
