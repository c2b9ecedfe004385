"""A model version cannot be deployed, or a roll-out does not end in time. (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clipper_nb.errors.base import ClipperException, log_end


class DeploymentError(ClipperException):
    """A model version could not be deployed; nothing of it is left, and the old version keeps serving."""


class SerializationError(DeploymentError):
    """The function, or something it captured, cannot be pickled."""


class IncompatibleEnvironmentError(DeploymentError):
    """One side cannot read what the other has pickled.

    Attributes
    ----------
    conflicts : dict
        The version on each side, by name.
    exit_status : int or None
        The replica's exit status, if a replica refused to load the model.
    log_tail : str
        The last lines that it wrote.
    """

    def __init__(
        self,
        model_id: str,
        conflicts: Mapping[str, Sequence[str]],
        *,
        sides: tuple[str, str] = ("notebook", "replica"),
        hint: str = "",
        exit_status: int | None = None,
        log_tail: str = "",
    ) -> None:
        rows = [("", *sides), *((name, *versions) for name, versions in conflicts.items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        table = "\n".join(f"    {line}" for line in lines)
        advice = f"\n{hint}" if hint else ""
        super().__init__(
            f"{model_id} was pickled by versions that {sides[1]} does not have; their minor versions must be the "
            f"same:\n{table}{advice}{log_end(log_tail)}"
        )
        self.model_id, self.conflicts = model_id, {name: tuple(found) for name, found in conflicts.items()}
        self.exit_status, self.log_tail = exit_status, log_tail


class IncompatibleClusterError(DeploymentError):
    """The cluster runs another release of clipper_nb than the notebook has."""

    def __init__(self, cluster_name: str, cluster_version: str, notebook_version: str) -> None:
        super().__init__(
            f"Cluster '{cluster_name}' runs clipper_nb {cluster_version} and this notebook {notebook_version}; the "
            "cluster may be unable to serve what this notebook deploys. Deploy from a notebook that has the cluster's "
            "version, or restart the cluster with stop_all() and start_clipper(), and deploy its models again."
        )
        self.cluster_name, self.cluster_version = cluster_name, cluster_version
        self.notebook_version = notebook_version


class ImageBuildError(DeploymentError):
    """The image could not be built."""

    def __init__(self, what: str, log_tail: str = "") -> None:
        super().__init__(what + log_end(log_tail))
        self.log_tail = log_tail


class PackageInstallError(ImageBuildError):
    """pip could not install a package; ``log_tail`` has pip's output."""


class BaseImageError(ImageBuildError):
    """The base image could not be found or pulled, or does not fit the notebook."""


class DiskFullError(ImageBuildError):
    """No space is left where images and containers are made."""


class RegistryError(DeploymentError):
    """An image could not be pushed to a registry, or pulled from it."""


class ReplicaStartError(DeploymentError):
    """A replica ended before it was ready.

    Attributes
    ----------
    exit_status : int or None
        The process's exit status; negative is the signal that ended it.
    log_tail : str
        The last lines that the replica wrote.
    """

    def __init__(
        self,
        model_id: str,
        reason: str,
        *,
        exit_status: int | None = None,
        log_tail: str = "",
        hint: str = "",
        subject: str = "A replica of",
    ) -> None:
        advice = f" {hint}" if hint else ""
        super().__init__(f"{subject} {model_id} {reason}.{advice}{log_end(log_tail)}")
        self.model_id, self.exit_status, self.log_tail = model_id, exit_status, log_tail


class ModelImportError(ReplicaStartError):
    """The replica could not import a module that the model needs."""


class ModelLoadError(ReplicaStartError):
    """Loading the model raised in the replica."""


class ParityError(ReplicaStartError):
    """A replica's answers to the samples differ from the notebook's, or a function's from call to call."""


class ReplicaMemoryError(ReplicaStartError):
    """The replica was killed because it exceeded its memory limit."""


class StartTimeoutError(DeploymentError):
    """Replicas were not ready by the deadline."""

    def __init__(
        self,
        model_id: str,
        *,
        num_ready: int,
        num_replicas: int,
        waited_s: float,
        log_tail: str = "",
        hint: str = "",
    ) -> None:
        advice = hint or "If the model needs longer to load, pass timeout_s=."
        super().__init__(
            f"{num_ready} of {num_replicas} replicas of {model_id} were ready after {waited_s:.1f} s. {advice}"
            f"{log_end(log_tail)}"
        )
        self.model_id, self.num_ready, self.num_replicas = model_id, num_ready, num_replicas
        self.waited_s, self.log_tail = waited_s, log_tail


class RollOutTimeoutError(ClipperException):
    """A roll-out had not ended when the wait for it was over; it goes on."""

    def __init__(self, roll_out: str, timeout_s: float) -> None:
        super().__init__(
            f"After {timeout_s:g} s this roll-out is still under way, and it goes on: {roll_out}. Wait longer, or end "
            "it with abort() or promote()."
        )
        self.timeout_s = timeout_s
