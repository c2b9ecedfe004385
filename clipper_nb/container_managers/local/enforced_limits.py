"""Which limits on replicas the processes of an embedded cluster are held to. (pure)"""

from __future__ import annotations

import math

from clipper_nb.display.long_lists import count
from clipper_nb.protocol.resource_limits import ResourceLimits


def unenforced_limits(limits: ResourceLimits, platform: str) -> list[str]:
    """Return which limits the processes of a platform are not held to, or not exactly."""
    found = []
    if limits.memory_bytes and platform != "linux":
        found.append(f"memory={limits.memory_bytes} is not enforced on this system")
    if limits.cpus and platform != "linux":
        found.append(f"cpus={limits.cpus:g} is not enforced on this system")
    elif limits.cpus and limits.cpus % 1:
        found.append(f"cpus={limits.cpus:g} is held to {count(math.ceil(limits.cpus), 'whole core')}")
    if limits.processes:
        found.append(f"processes={limits.processes} is not enforced")
    return found
