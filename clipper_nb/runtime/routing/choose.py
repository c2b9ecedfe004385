"""Chooses the target of one query among those of its application's route. (pure)"""

from __future__ import annotations

import xxhash

from clipper_nb.protocol.route import Route, RouteTarget

_NUM_HASHES = 2**64


def choose(route: Route, key: bytes) -> RouteTarget:
    """Return the target for the queries of *key*: always the same one while the weights are the same.

    The hash of the key is a point on a line on which each target has, in the order of the route, an interval as long as
    its weight. A target of weight 0 is never chosen. When the weight of the last target grows, keys move only to it.
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
