"""Panels for notebooks: ``conn.dashboard()`` has all of them in tabs, ``conn.panels.models()`` shows one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipper_nb.panels.applications import ApplicationsPanel
    from clipper_nb.panels.dashboard import show
    from clipper_nb.panels.events import EventsPanel
    from clipper_nb.panels.frame import Frame
    from clipper_nb.panels.metrics import MetricsPanel
    from clipper_nb.panels.models import ModelsPanel
    from clipper_nb.panels.traffic import TrafficPanel
    from clipper_nb.panels.try_a_query import TryAQueryPanel

__all__ = [
    "ApplicationsPanel",
    "EventsPanel",
    "Frame",
    "MetricsPanel",
    "ModelsPanel",
    "TrafficPanel",
    "TryAQueryPanel",
    "show",
]

_HOMES = {
    "ApplicationsPanel": "applications",
    "EventsPanel": "events",
    "Frame": "frame",
    "MetricsPanel": "metrics",
    "ModelsPanel": "models",
    "TrafficPanel": "traffic",
    "TryAQueryPanel": "try_a_query",
    "show": "dashboard",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the connection opens panels, and needs no ipywidgets until then."""
    if name not in _HOMES:
        raise AttributeError(f"module 'clipper_nb.panels' has no attribute {name!r}")
    return getattr(importlib.import_module(f"clipper_nb.panels.{_HOMES[name]}"), name)
