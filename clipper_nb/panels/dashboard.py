"""The panels of the dashboard, in the order of its tabs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clipper_nb.panels.applications import ApplicationsPanel
from clipper_nb.panels.events import EventsPanel
from clipper_nb.panels.frame import Frame
from clipper_nb.panels.metrics import MetricsPanel
from clipper_nb.panels.models import ModelsPanel
from clipper_nb.panels.panel import Panel
from clipper_nb.panels.poller import Poller, poller_of
from clipper_nb.panels.traffic import TrafficPanel
from clipper_nb.panels.try_a_query import TryAQueryPanel

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import PanelCalls

_TABS: tuple[type[Panel], ...] = (
    ApplicationsPanel,
    ModelsPanel,
    TrafficPanel,
    MetricsPanel,
    TryAQueryPanel,
    EventsPanel,
)


def show(conn: PanelCalls, *kinds: type[Panel], application: str | None = None) -> Frame:
    """Return a frame with a panel of each kind, by default of all kinds; that of traffic begins with *application*."""
    poller = poller_of(conn)
    panels = [kind(conn, poller) for kind in kinds or _TABS]
    for panel in panels:
        if isinstance(panel, TrafficPanel) and application is not None:
            panel.choose(application)
    frame = Frame(poller, panels)
    trying = next((panel for panel in panels if isinstance(panel, TryAQueryPanel)), None)
    for panel in panels:
        if isinstance(panel, ApplicationsPanel) and trying is not None:
            panel.on_try = partial(_try, frame, trying, poller)
    return frame


def _try(frame: Frame, panel: TryAQueryPanel, poller: Poller, application: str) -> None:
    def show() -> None:
        frame.select(panel.title)
        panel.choose(application)

    poller.call_soon(show)
