"""``conn.apps`` and ``conn.models``: applications, models and versions by name, each with its own calls and repr.

A handle holds a name and no state: it asks the cluster each time, so it is never out of date, and reports when what it
names is gone. Its methods are those of the connection with the names filled in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from clipper_nb.cluster.by_name import ByName, html_or_none, live
from clipper_nb.display.long_lists import join_some
from clipper_nb.display.summaries import (
    describe_application,
    describe_model,
    describe_version,
    format_applications,
    format_models,
)
from clipper_nb.errors import ApplicationNotFoundError, ModelNotFoundError
from clipper_nb.protocol import names
from clipper_nb.protocol.feedback_call import UNSET, Feedback
from clipper_nb.protocol.names import ModelId

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.autoscaling import ScalingOptions
    from clipper_nb.cluster.ports import ClusterCalls
    from clipper_nb.cluster.replica_logs import LogText
    from clipper_nb.protocol.descriptions import ApplicationInfo, ReplicaInfo, VersionInfo
    from clipper_nb.protocol.records import Prediction
    from clipper_nb.protocol.traffic import ApplicationTraffic


class Applications(ByName["ApplicationHandle"]):
    """The cluster's applications by name."""

    def __init__(self, conn: ClusterCalls) -> None:
        self._conn = conn

    def __getitem__(self, name: str) -> ApplicationHandle:
        if self._conn.get_app_info(names.known_name("application name", name)) is None:
            raise ApplicationNotFoundError(name, list(self))
        return ApplicationHandle(self._conn, name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._conn.get_all_apps()))

    def __repr__(self) -> str:
        return live(lambda: f"<Applications: {join_some(list(self)) or 'none'}>", "<Applications: {}>")

    def _repr_html_(self) -> str | None:
        return html_or_none(lambda: format_applications(self._conn.records("get_all_apps()").get_applications()))


class ApplicationHandle:
    """One application: ``conn.apps["digits"]``.

    Attributes
    ----------
    name : str
    """

    def __init__(self, conn: ClusterCalls, name: str) -> None:
        self._conn = conn
        self.name = name

    @property
    def info(self) -> dict[str, Any]:
        """The same as ``conn.get_app_info(name)``."""
        found: dict[str, Any] = to_builtins(self._record())
        return found

    @property
    def linked_model(self) -> ModelHandle | None:
        """The model that it sends its queries to, of several that of the largest share."""
        linked = self._record().linked_model
        return None if linked is None else ModelHandle(self._conn, linked)

    @property
    def traffic(self) -> ApplicationTraffic:
        """How its queries are divided among models and versions; see ``ClipperConnection.get_traffic``."""
        return self._conn.get_traffic(self.name)

    def predict(self, input: Any, *, version: int | str | None = None, key: int | str | None = None) -> Prediction:
        """Query it; see ``ClipperConnection.predict``."""
        return self._conn.predict(self.name, input, version=version, key=key)

    def predict_batch(
        self, inputs: Any, *, version: int | str | None = None, key: int | str | None = None
    ) -> list[Prediction]:
        """Query it with several inputs; see ``ClipperConnection.predict_batch``."""
        return self._conn.predict_batch(self.name, inputs, version=version, key=key)

    def set_traffic(
        self,
        weights: Mapping[str, float] | Sequence[str],
        *,
        policy: str | None = None,
        half_life_s: float | None = None,
        explore: float | None = None,
        by_key: bool = False,
        combine: str = "vote",
        min_confidence: float | None = None,
        error_scale: float | None = None,
        default_weight: float | None = None,
    ) -> ApplicationTraffic:
        """Divide its queries among models and versions; see ``ClipperConnection.set_traffic``."""
        return self._conn.set_traffic(
            self.name, weights, policy=policy, half_life_s=half_life_s, explore=explore, by_key=by_key,
            combine=combine, min_confidence=min_confidence, error_scale=error_scale, default_weight=default_weight,
        )  # fmt: skip

    def feedback(
        self,
        query: Prediction | int | None = None,
        *,
        key: int | str | None = None,
        label: Any = UNSET,
        score: float | None = None,
    ) -> Feedback:
        """Say how good an answer was; see ``ClipperConnection.feedback``."""
        return self._conn.feedback(self.name, query, key=key, label=label, score=score)

    def link(self, model_name: str) -> None:
        """Send its queries to a model's current version; see ``ClipperConnection.link_model_to_app``."""
        self._conn.link_model_to_app(self.name, model_name)

    def unlink(self) -> None:
        """Remove its link, if it has one; it then answers its default output."""
        for model_name in self._record().linked_models:
            self._conn.unlink_model_from_app(self.name, model_name)

    def unregister(self) -> None:
        """Remove it; its URL answers 404 at once."""
        self._conn.unregister_application(self.name)

    def __repr__(self) -> str:
        return live(lambda: describe_application(self._record()), f"<Application {self.name!r}: {{}}>")

    def _repr_html_(self) -> str | None:
        return html_or_none(lambda: format_applications([self._record()]))

    def _record(self) -> ApplicationInfo:
        found = self._conn.records("get_app_info()").get_application(self.name)
        if found is None:
            raise ApplicationNotFoundError(self.name)
        return found


class Models(ByName["ModelHandle"]):
    """The cluster's models by name."""

    def __init__(self, conn: ClusterCalls) -> None:
        self._conn = conn

    def __getitem__(self, name: str) -> ModelHandle:
        known = list(self)
        if names.known_name("model name", name) not in known:
            raise ModelNotFoundError(name, known=known)
        return ModelHandle(self._conn, name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({model.name for model in _all_versions(self._conn)}))

    def __repr__(self) -> str:
        return live(lambda: f"<Models: {join_some(list(self)) or 'none'}>", "<Models: {}>")

    def _repr_html_(self) -> str | None:
        return html_or_none(lambda: _models_html(self._conn, _all_versions(self._conn)))


class ModelHandle(ByName["VersionHandle"]):
    """One model: ``conn.models["digits-net"]``, and its versions: ``conn.models["digits-net"]["2"]``.

    Attributes
    ----------
    name : str
    """

    def __init__(self, conn: ClusterCalls, name: str) -> None:
        self._conn = conn
        self.name = name

    def __getitem__(self, version: int | str) -> VersionHandle:
        model_id, known = ModelId(self.name, names.known_version(version)), list(self)
        if model_id.version not in known:
            raise ModelNotFoundError(*model_id, known)
        return VersionHandle(self._conn, model_id)

    def __iter__(self) -> Iterator[str]:
        """Yield the versions, in the order in which they were registered."""
        versions = [model for model in _all_versions(self._conn) if model.name == self.name]
        return iter([model.version for model in sorted(versions, key=lambda model: model.registered_at)])

    @property
    def current_version(self) -> VersionHandle:
        """The version that answers queries."""
        return self[self._conn.get_current_model_version(self.name)]

    def set_version(self, version: int | str, num_replicas: int | None = None) -> None:
        """Make another version current: a roll-back, or a roll-forward; see ``ClipperConnection.set_model_version``."""
        self._conn.set_model_version(self.name, version, num_replicas)

    def set_num_replicas(self, num_replicas: int | None = None, **options: Unpack[ScalingOptions]) -> None:
        """Start or stop replicas of the current version, or autoscale it between ``min=`` and ``max=``.

        Options are those of ``ClipperConnection.set_num_replicas``.
        """
        self._conn.set_num_replicas(self.name, num_replicas, **options)

    def stop(self) -> None:
        """Unregister all its versions and stop their replicas."""
        self._conn.stop_models([self.name])

    def stop_inactive_versions(self) -> None:
        """Unregister and stop all its versions but the current one."""
        self._conn.stop_inactive_model_versions([self.name])

    def __repr__(self) -> str:
        return live(lambda: describe_model(self.name, self._records()), f"<Model {self.name!r}: {{}}>")

    def _repr_html_(self) -> str | None:
        return html_or_none(lambda: _models_html(self._conn, self._records()))

    def _records(self) -> list[VersionInfo]:
        records = [model for model in _all_versions(self._conn) if model.name == self.name]
        if not records:
            raise ModelNotFoundError(self.name)
        return records


class VersionHandle:
    """One version of a model.

    Attributes
    ----------
    model_name, version : str
    """

    def __init__(self, conn: ClusterCalls, model_id: ModelId) -> None:
        self._conn = conn
        self.model_name, self.version = model_id

    @property
    def info(self) -> dict[str, Any]:
        """Its record; see ``ClipperConnection.get_model_info``."""
        found: dict[str, Any] = to_builtins(self._record())
        return found

    @property
    def is_current(self) -> bool:
        """True if queries go to it."""
        return self._record().is_current

    @property
    def replicas(self) -> list[dict[str, Any]]:
        """Its connected replicas; see ``ClipperConnection.get_all_model_replicas``."""
        found: list[dict[str, Any]] = to_builtins(self._replicas())
        return found

    def make_current(self, num_replicas: int | None = None) -> None:
        """Let queries go to it; see ``ClipperConnection.set_model_version``."""
        self._conn.set_model_version(self.model_name, self.version, num_replicas)

    def set_num_replicas(self, num_replicas: int | None = None, **options: Unpack[ScalingOptions]) -> None:
        """Start or stop replicas of it, or autoscale it between ``min=`` and ``max=``.

        Options are those of ``ClipperConnection.set_num_replicas``.
        """
        self._conn.set_num_replicas(self.model_name, num_replicas, self.version, **options)

    def logs(self, *, max_lines: int = 1000) -> LogText:
        """Return what its replicas wrote; see ``ClipperConnection.logs``."""
        return self._conn.logs(str(ModelId(self.model_name, self.version)), max_lines=max_lines)

    def stop(self) -> None:
        """Unregister it and stop its replicas."""
        self._conn.stop_versioned_models({self.model_name: [self.version]})

    def __repr__(self) -> str:
        return live(
            lambda: describe_version(self._record(), len(self._replicas())),
            f"<Version {self.model_name}:{self.version}: {{}}>",
        )

    def _repr_html_(self) -> str | None:
        return html_or_none(lambda: _models_html(self._conn, [self._record()]))

    def _record(self) -> VersionInfo:
        model_id = ModelId(self.model_name, self.version)
        found = self._conn.records("get_model_info()").get_model(model_id)
        if found is None:
            raise ModelNotFoundError(*model_id)
        return found

    def _replicas(self) -> list[ReplicaInfo]:
        mine = ModelId(self.model_name, self.version)
        return [found for found in _all_replicas(self._conn) if found.model_id == mine]


def _all_versions(conn: ClusterCalls) -> list[VersionInfo]:
    return conn.records("get_all_models()").get_models()


def _all_replicas(conn: ClusterCalls) -> list[ReplicaInfo]:
    return conn.records("get_all_model_replicas()").get_replicas()


def _models_html(conn: ClusterCalls, records: Sequence[VersionInfo]) -> str:
    return format_models(records, _all_replicas(conn))
