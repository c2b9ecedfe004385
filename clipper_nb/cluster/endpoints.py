"""``conn.endpoints``: an application together with the model behind it, as ``create_endpoint`` makes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clipper_nb.cluster.by_name import ByName, live
from clipper_nb.cluster.handles import ApplicationHandle, Applications, ModelHandle, VersionHandle
from clipper_nb.display.long_lists import join_some
from clipper_nb.display.summaries import describe_endpoint
from clipper_nb.errors import InvalidRequestError, NotFoundError

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import ClusterCalls
    from clipper_nb.cluster.replica_logs import LogText


class Endpoints(Applications):
    """The cluster's applications by name, each with the model that answers."""

    def __getitem__(self, name: str) -> EndpointHandle:
        return EndpointHandle(self._conn, super().__getitem__(name).name)

    def __repr__(self) -> str:
        return live(lambda: f"<Endpoints: {join_some(list(self)) or 'none'}>", "<Endpoints: {}>")


class EndpointHandle(ApplicationHandle):
    """One application with the model that answers its queries: ``conn.endpoints["digits"]``.

    Attributes
    ----------
    name : str
    versions : EndpointVersions
        The versions of its linked model: ``endpoint.versions["2"].make_current()``.
    """

    def __init__(self, conn: ClusterCalls, name: str) -> None:
        super().__init__(conn, name)
        self.versions = EndpointVersions(self)  # not a property: IPython completes keys only behind attributes

    @property
    def url(self) -> str:
        """The address to which clients ``POST {"input": ...}``."""
        return f"{self._conn.get_query_url()}/{self.name}/predict"

    def logs(self, *, max_lines: int = 1000) -> LogText:
        """Return what the replicas of the current version wrote; see ``ClipperConnection.logs``.

        Raises
        ------
        InvalidRequestError
            It has no linked model.
        NotFoundError
            The linked model has no current version.
        """
        return self._conn.logs(self._model().name, max_lines=max_lines)

    def rollback(self) -> VersionHandle:
        """Let the version answer that was registered before the current one, and return it.

        It gets as many replicas as the current version should have if it has none.

        Raises
        ------
        InvalidRequestError
            There is no earlier version, it takes another input type, nothing is linked, or ``set_traffic`` decides
            which versions answer.
        """
        record = self._record()
        if record.traffic:
            raise InvalidRequestError(
                f"Application '{self.name}' has its traffic set: {record.routing}. Roll back with "
                f"conn.set_traffic({self.name!r}, ...), by the version that all queries should go to."
            )
        model = self._model()
        current = model.current_version
        versions = list(model)
        position = versions.index(current.version)
        if position == 0:
            raise InvalidRequestError(
                f"Version '{current.version}' is the first of model '{model.name}' ({', '.join(versions)}). "
                "There is none to roll back to; endpoint.versions[...].make_current() chooses one."
            )
        earlier = model[versions[position - 1]]
        num_replicas = None if earlier.replicas else max(1, len(current.replicas))
        earlier.make_current(num_replicas)
        return earlier

    def delete(self) -> None:
        """Stop its models unless another application is linked to them, and remove the application.

        The application goes last, so that a call that was cut off can be made again.
        """
        linked = self._record().linked_models
        unused = [model_name for model_name in linked if not self._is_linked_elsewhere(model_name)]
        if unused:
            self._conn.stop_models(unused)
        self.unregister()

    def __repr__(self) -> str:
        return live(self._describe, f"<Endpoint {self.name!r}: {{}}>")

    def _describe(self) -> str:
        record = self._record()
        versions = self._conn.records("get_all_models()").get_models() if record.linked_model else []
        is_answering = (version for version in versions if version.name == record.linked_model and version.is_current)
        current = next((version.version for version in is_answering), None)
        return describe_endpoint(record, current, self.url)

    def _model(self) -> ModelHandle:
        model = self.linked_model
        if model is None:
            raise InvalidRequestError(
                f"No model is linked to application '{self.name}'. Link one first: "
                f"conn.link_model_to_app({self.name!r}, model_name)."
            )
        return model

    def _is_linked_elsewhere(self, model_name: str) -> bool:
        applications = self._conn.records("get_all_apps()").get_applications()
        others = (application for application in applications if application.name != self.name)
        return any(model_name in application.linked_models for application in others)


class EndpointVersions(ByName[VersionHandle]):
    """The versions of the model that is linked to an application; none without a link."""

    def __init__(self, endpoint: EndpointHandle) -> None:
        self._endpoint = endpoint

    def __getitem__(self, version: int | str) -> VersionHandle:
        model = self._endpoint.linked_model
        if model is None:
            raise NotFoundError(f"No model is linked to application '{self._endpoint.name}', so it has no versions.")
        return model[version]

    def __iter__(self) -> Iterator[str]:
        """Yield the versions, in the order in which they were registered."""
        model = self._endpoint.linked_model
        return iter(()) if model is None else iter(model)

    def __repr__(self) -> str:
        return live(lambda: f"<Versions: {join_some(list(self)) or 'none'}>", "<Versions: {}>")
