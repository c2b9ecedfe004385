"""Chooses a query's target among those of its application's route. (pure)"""

from __future__ import annotations

import xxhash

from clipper_nb.protocol.route import Route, RouteTarget

_NUM_HASHES = 2**64


def choose(route: Route, key: bytes) -> RouteTarget:
    """Return the target for the queries of *key*, which is always the same while the weights are.

    The hash of the key is a point on a line; each target has an interval on it as long as its weight, in the order of
    the route. A target of weight 0 is never chosen. When the weight of the last target grows, keys move only to it.
    """
    *others, last = [target for target in route.targets if target.weight > 0] or list(route.targets)
    if not others:
        return last
    point = xxhash.xxh3_64_intdigest(key) / _NUM_HASHES * sum(target.weight for target in (*others, last))
    for target in others:
        if point < target.weight:
            return target
        point -= target.weight
    return last
