"""``conn.panels``: opens panels; what draws them is imported only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipper_nb.errors import DeploymentError, UnconnectedException

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import PanelCalls
    from clipper_nb.panels.frame import Frame


class Panels:
    """The panels of one cluster, each to stand alone in a cell; ``conn.dashboard()`` has all in tabs.

    They are live while they are on the page, also while a cell runs, and cost nothing while they are not visible.
    ``close()`` of what is returned stops one.
    """

    def __init__(self, conn: PanelCalls) -> None:
        self._conn = conn

    def applications(self) -> Frame:
        """Applications: their SLO and how they keep it; link, unlink, unregister."""
        return self._open("ApplicationsPanel")

    def models(self) -> Frame:
        """Models, versions and replicas: roll back, set replicas, stop, logs."""
        return self._open("ModelsPanel")

    def traffic(self, app_name: str | None = None) -> Frame:
        """How an application's queries are divided, and what each version got: change shares, send all to one, go back.

        Raises
        ------
        NotFoundError
            There is no application *app_name*.
        """
        if app_name is not None:
            self._conn.get_traffic(app_name)
        return self._open("TrafficPanel", application=app_name)

    def metrics(self) -> Frame:
        """Latency beside the SLO, throughput, batch size, queue and cache hits, of the last two minutes."""
        return self._open("MetricsPanel")

    def try_a_query(self) -> Frame:
        """Send a query; see the answer, its time, and the lines that do the same elsewhere."""
        return self._open("TryAQueryPanel")

    def events(self) -> Frame:
        """What changed and when, while a panel was on the page."""
        return self._open("EventsPanel")

    def all(self) -> Frame:
        """Return the dashboard: all panels in tabs."""
        return self._open()

    def __repr__(self) -> str:
        return "<Panels: applications(), models(), traffic(), metrics(), try_a_query(), events(), all()>"

    def _open(self, panel: str | None = None, *, application: str | None = None) -> Frame:
        if not self._conn.connected:
            raise UnconnectedException(f"panels.{panel}" if panel else "dashboard()")
        try:
            from clipper_nb.panels import dashboard
        except ImportError as exc:
            raise DeploymentError(
                f"Panels need the package '{exc.name}': pip install 'clipper-nb[notebook]', then restart the kernel."
            ) from exc
        return dashboard.show(self._conn, *([getattr(dashboard, panel)] if panel else []), application=application)
