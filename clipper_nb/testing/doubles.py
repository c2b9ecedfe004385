"""Doubles of a container manager and an image builder: they run and build nothing, and record what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.reconcile import reconcile_replicas
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import ClusterNotFoundError, ExistsError, ImageNotFoundError
from clipper_nb.images.builder import DeployedImage, ImageBuilder, ImageRequest, ImageSource
from clipper_nb.protocol.containers import REPLICA, ObservedContainer
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits


class RecordingImageBuilder(ImageBuilder):
    """An image builder that builds nothing, and records what it was asked for.

    Attributes
    ----------
    requests : list of ImageRequest
        What was built, in order.
    files : dict
        The files of each image's model folder, as they were when it was "built": ``{image: {path: content}}``.
    removed : list of str
        Images that were removed, in order.
    error : Exception, optional
        What ``build`` raises from now on.

    Examples
    --------
    >>> from clipper_nb.images.builder import ImageRequest
    >>> from clipper_nb.protocol.names import ModelId
    >>> builder = RecordingImageBuilder()
    >>> builder.build(ImageRequest("my-cluster", ModelId("digits", "1"), "folder"))
    'my-cluster-digits:1-recorded'
    >>> builder.requests[0].model_data_path
    'folder'
    """

    def __init__(self) -> None:
        self.requests: list[ImageRequest] = []
        self.files: dict[str, dict[str, bytes]] = {}
        self.removed: list[str] = []
        self.error: Exception | None = None
        self._deployed: dict[str, tuple[str, ModelId]] = {}

    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        image = request.tag("recorded")
        folder = Path(request.model_data_path)
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.files[image] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        if request.goes_with_version:
            self._deployed[image] = (request.cluster_name, request.model_id)
        return image

    def read_model_files(self, image: str, names: Sequence[str]) -> dict[str, bytes]:
        if image not in self.files:
            raise ImageNotFoundError(image, "It was not built here.")
        return {name: content for name, content in self.files[image].items() if name in names}

    @contextmanager
    def open_source(self, image: str) -> Iterator[ImageSource | None]:
        if image not in self.files:
            raise ImageNotFoundError(image, "It was not built here.")
        request = next(request for request in self.requests if request.tag("recorded") == image)
        yield ImageSource(self.files[image], request.packages, request.base_image)

    def remove(self, image: str) -> None:
        self.removed.append(image)
        self.files.pop(image, None)
        self._deployed.pop(image, None)

    def find_deployed(self, cluster_name: str) -> list[DeployedImage]:
        return [
            DeployedImage(image, model_id) for image, (name, model_id) in self._deployed.items() if name == cluster_name
        ]


class RecordingContainerManager(ContainerManager):
    """A container manager that runs nothing, and records what it was asked for.

    Its replicas are there as soon as they are asked for. Nothing answers at its addresses.

    Parameters
    ----------
    cluster_name : str

    Attributes
    ----------
    calls : list of tuple
        Each call that starts or stops something: its name, and what identifies it.
    replicas : list of ObservedContainer
        Those that run; a test may change them, for example to end one.
    logs : dict
        What each container wrote, by name; empty at first.
    errors : dict
        What a method raises from now on, by its name.
    image_builder : RecordingImageBuilder
        What ``make_image_builder`` returns.
    is_started : bool

    Examples
    --------
    >>> from clipper_nb.protocol.names import ModelId
    >>> manager = RecordingContainerManager()
    >>> manager.set_num_replicas(
    ...     ModelId("digits", "1"), input_type="doubles", image="digits:1", num_replicas=2, load_timeout_s=30.0
    ... )
    >>> manager.calls
    [('set_num_replicas', 'digits:1', 2)]
    >>> [replica.name for replica in manager.observe_replicas()]
    ['digits_1-1', 'digits_1-2']
    """

    def __init__(self, cluster_name: str = "recorded") -> None:
        self.cluster_name = cluster_name
        self.clipper_query_port = self.clipper_management_port = self.clipper_rpc_port = 0
        self.calls: list[tuple[Any, ...]] = []
        self.replicas: list[ObservedContainer] = []
        self.logs: dict[str, str] = {}
        self.errors: dict[str, Exception] = {}
        self.image_builder = RecordingImageBuilder()
        self.is_started = False
        self._num_started = 0

    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET, *, fresh: bool = False) -> bool:
        self._record("start_clipper", options)
        if self.is_started:
            raise ExistsError(f"A cluster with name '{self.cluster_name}' runs already.")
        self.is_started = True
        return False

    def connect(self) -> None:
        self._record("connect")
        if not self.is_started:
            raise ClusterNotFoundError(f"No cluster with name '{self.cluster_name}' was started.")

    def get_query_addr(self) -> str:
        return f"127.0.0.1:{self.clipper_query_port}"

    def get_admin_addr(self) -> str:
        return f"127.0.0.1:{self.clipper_management_port}"

    def get_admin_token(self) -> str:
        return "recorded"

    def make_image_builder(self) -> RecordingImageBuilder:
        return self.image_builder

    def set_num_replicas(
        self,
        model_id: ModelId,
        *,
        input_type: InputType | str,
        image: str,
        num_replicas: int,
        load_timeout_s: float,
        limits: ResourceLimits = NO_LIMITS,
        environment: Mapping[str, str] | None = None,
        network_access: bool | None = None,
        progress: Progress = QUIET,
    ) -> None:
        self._record("set_num_replicas", str(model_id), num_replicas)
        difference = reconcile_replicas(num_replicas, self.observe_replicas(model_id), image)
        for _ in range(difference.num_to_start):
            self._num_started += 1
            name = f"{model_id.name}_{model_id.version}-{self._num_started}"
            self.replicas.append(ObservedContainer(name, REPLICA, str(model_id), is_running=True, image=image))
        self._stop(lambda replica: replica.name in difference.names_to_stop)

    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        return [replica for replica in self.replicas if model_id is None or replica.model == str(model_id)]

    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        return "\n".join(self.logs.get(container_name, "").splitlines()[-max_lines:])

    def get_logs(self, logging_dir: str) -> list[str]:
        folder = Path(logging_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.logs.items():
            (folder / f"{name}.log").write_text(text)
        return [str(folder / f"{name}.log") for name in self.logs]

    def stop_models(self, models: Mapping[str, Sequence[str]]) -> None:
        unwanted = [str(ModelId(name, version)) for name, versions in models.items() for version in versions]
        self._record("stop_models", *unwanted)
        self._stop(lambda replica: replica.model in unwanted)

    def stop_all_model_containers(self) -> None:
        self._record("stop_all_model_containers")
        self.replicas.clear()

    def stop_all(self, *, graceful: bool = True, keep: bool = False) -> None:
        self._record("stop_all")
        self.replicas.clear()
        self.is_started = False

    def _stop(self, is_unwanted: Callable[[ObservedContainer], bool]) -> None:
        self.replicas = [replica for replica in self.replicas if not is_unwanted(replica)]

    def _record(self, method: str, *what: Any) -> None:
        self.calls.append((method, *what))
        if method in self.errors:
            raise self.errors[method]
