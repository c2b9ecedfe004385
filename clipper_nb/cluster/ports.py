"""The methods of a connection that handles, panels and scoring call; each accepts anything that has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from clipper_nb.cluster.autoscaling import ScalingOptions
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.replica_logs import LogText
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.protocol.descriptions import ApplicationInfo, ReplicaInfo, VersionInfo
from clipper_nb.protocol.feedback_call import UNSET, Feedback
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Prediction
from clipper_nb.protocol.roll_out import RollOutInfo
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.protocol.traffic import ApplicationTraffic

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ApplicationCalls(Protocol):
    """Applications and their links."""

    def register_application(self, name: str, input_type: str, default_output: str, slo_micros: int) -> None: ...
    def unregister_application(self, name: str) -> None: ...
    def link_model_to_app(self, app_name: str, model_name: str) -> None: ...
    def unlink_model_from_app(self, app_name: str, model_name: str) -> None: ...
    def get_all_apps(self, verbose: bool = False) -> list[Any]: ...
    def get_app_info(self, name: str) -> dict[str, Any] | None: ...
    def get_linked_models(self, app_name: str) -> list[str]: ...
    def set_traffic(
        self,
        app_name: str,
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
    ) -> ApplicationTraffic: ...
    def get_traffic(self, app_name: str) -> ApplicationTraffic: ...


class RollOutCalls(Protocol):
    """What a handle of a roll-out calls."""

    def get_roll_outs(self) -> list[RollOutInfo]: ...
    def abort_roll_out(self, application_name: str) -> None: ...
    def promote_roll_out(self, application_name: str) -> None: ...


class ModelCalls(Protocol):
    """Models, versions and replicas."""

    def get_all_models(self, verbose: bool = False) -> list[Any]: ...
    def get_current_model_version(self, name: str) -> str: ...
    def set_model_version(self, name: str, version: int | str, num_replicas: int | None = None) -> None: ...
    def set_num_replicas(
        self,
        name: str,
        num_replicas: int | None = None,
        version: int | str | None = None,
        **options: Unpack[ScalingOptions],
    ) -> None: ...
    def stop_models(self, model_names: Sequence[str]) -> None: ...
    def stop_versioned_models(self, model_versions_dict: Mapping[str, Sequence[int | str]]) -> None: ...
    def stop_inactive_model_versions(self, model_names: Sequence[str]) -> None: ...
    def logs(self, model: str, *, max_lines: int = 1000) -> LogText: ...


class PredictionCalls(Protocol):
    """Queries."""

    def predict(
        self, app_name: str, input: Any, *, version: int | str | None = None, key: int | str | None = None
    ) -> Prediction: ...
    def predict_batch(
        self, app_name: str, inputs: Any, *, version: int | str | None = None, key: int | str | None = None
    ) -> list[Prediction]: ...
    def feedback(
        self,
        app_name: str,
        query: Prediction | int | None = None,
        *,
        key: int | str | None = None,
        label: Any = UNSET,
        score: float | None = None,
    ) -> Feedback: ...


class Records(RollOutCalls, Protocol):
    """The records of the management frontend."""

    def get_applications(self) -> list[ApplicationInfo]: ...
    def get_shadow_report(self, application_name: str) -> ShadowReport: ...
    def get_application(self, name: str) -> ApplicationInfo | None: ...
    def get_models(self) -> list[VersionInfo]: ...
    def get_model(self, model_id: ModelId) -> VersionInfo | None: ...
    def get_replicas(self) -> list[ReplicaInfo]: ...


class ClusterCalls(ApplicationCalls, ModelCalls, PredictionCalls, Protocol):
    """All calls that handles and scoring need."""

    def get_query_url(self) -> str: ...
    def records(self, method: str) -> Records: ...


class DeployCalls(ApplicationCalls, Protocol):
    """All calls that an import needs."""

    def new_version(self, name: str, version: int | str, input_type: str, **options: Any) -> NewVersion: ...
    def deploy_version(self, new: NewVersion, model_data_path: str, *, owns_files: bool = False) -> object: ...
    def deploy_image(self, new: NewVersion) -> object: ...
    def register_version(self, new: NewVersion) -> None: ...
    def get_all_models(self, verbose: bool = False) -> list[Any]: ...
    def stop_versioned_models(self, model_versions_dict: Mapping[str, Sequence[int | str]]) -> None: ...


class PanelCalls(ClusterCalls, Protocol):
    """All calls that panels need: also where the cluster is and what runs it."""

    cm: ContainerManager
    connected: bool
