"""Which query frontends are alive, judged by their announcements. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clipper_nb.protocol.records import FrontendPresence
from clipper_nb.protocol.redis_keys import PRESENCE_TIMEOUT_S

_LONGEST_STEP_S = 1.0


@dataclass
class _Heard:
    announced_at: float
    silent_s: float


class FrontendLiveness:
    """Distinguishes dead frontends from those that could not announce themselves.

    Silence counts only while the store can be read: after it was unreachable for a minute no frontend counts as
    silent for a minute, and all of them are still waited for. So no change is confirmed without a live frontend.
    """

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self._last_read_s: float | None = None

    def observe(
        self, presence: Sequence[FrontendPresence], *, now_s: float
    ) -> tuple[list[FrontendPresence], list[FrontendPresence]]:
        """Process what was read at *now_s*; return the live frontends and the dead ones."""
        step_s = 0.0 if self._last_read_s is None else min(now_s - self._last_read_s, _LONGEST_STEP_S)
        self._last_read_s = now_s
        before, self._heard = self._heard, {}
        for frontend in presence:
            heard = before.get(frontend.frontend_id)
            is_news = heard is None or heard.announced_at != frontend.announced_at
            silent_s = 0.0 if is_news or heard is None else heard.silent_s + step_s
            self._heard[frontend.frontend_id] = _Heard(frontend.announced_at, silent_s)
        living = [f for f in presence if self._heard[f.frontend_id].silent_s <= PRESENCE_TIMEOUT_S]
        dead = [f for f in presence if self._heard[f.frontend_id].silent_s > PRESENCE_TIMEOUT_S]
        return living, dead
