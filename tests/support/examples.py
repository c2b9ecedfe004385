"""How many examples a property is tried with: all of them in ``make test``, a tenth in ``make test-fast``.

A test without ``examples`` has as many as Hypothesis' profile says: 100, or 10 with ``--hypothesis-profile=fast``.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings

FAST = 10
# A busy machine needs longer than Hypothesis' 200 ms for an example, whatever the property.
settings.register_profile("default", deadline=None)
settings.register_profile("fast", max_examples=FAST, deadline=None)
settings.load_profile("default")


def examples(number: int, **others: Any) -> settings:
    """Return the settings of a property that is tried with *number* examples by ``make test``, without a deadline."""
    return settings(max_examples=max(1, number * settings.default.max_examples // 100), deadline=None, **others)
