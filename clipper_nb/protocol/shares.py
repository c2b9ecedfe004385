"""The shares of an application's queries while one of them is changed. (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping

_DIGITS = 4
"""Of the per cents that are set: what is shown is no finer."""


def with_share(shares: Mapping[str, float], target: str, share: float) -> dict[str, float]:
    """Return the shares where *target* has *share*, and the others what is left, in their proportions.

    Parameters
    ----------
    shares : mapping of str to float
        From 0 to 1 each, by target, in any order; together 1, or there are none.
    target : str
        One of them, or a new one.
    share : float
        From 0 to 1. The only target has all whatever this is.

    Returns
    -------
    dict of str to float
        In the order of *shares*, a new target last. If the others had nothing, each gets the same.
    """
    others = {other: before for other, before in shares.items() if other != target}
    if not others:
        return {target: 1.0}
    share = min(max(share, 0.0), 1.0)
    total = math.fsum(others.values())
    rest = {
        other: (1.0 - share) * (before / total if total > 0 else 1.0 / len(others)) for other, before in others.items()
    }
    return {each: share if each == target else rest[each] for each in dict.fromkeys((*shares, target))}


def weights_of(shares: Mapping[str, float]) -> dict[str, float]:
    """Return weights for ``set_traffic``, in per cent; targets without a share are left out."""
    per_cent = {target: round(100.0 * share, _DIGITS) for target, share in shares.items()}
    return {target: weight for target, weight in per_cent.items() if weight > 0}
