"""A version to be deployed: created and checked once, in one place, and passed on whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipper_nb.cluster.argument_checks import (
    check_flag,
    check_labels,
    check_limits,
    check_packages,
    check_system_packages,
    check_text_outputs,
    check_timeout,
)
from clipper_nb.cluster.surroundings import (
    ChosenVariables,
    add_read_variables,
    check_environment_variables,
    check_files,
)
from clipper_nb.images.builder import DEFAULT_BASE_IMAGE, ImageRequest
from clipper_nb.protocol.autoscaling import ScalingRule
from clipper_nb.protocol.descriptions import VersionInfo
from clipper_nb.protocol.environment import DEFAULT_HANG_TIMEOUT_S
from clipper_nb.protocol.environment_variables import NO_VARIABLES, EnvironmentVariables, replica_variables
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.names import ModelId, check_model_name, check_version
from clipper_nb.protocol.number_rules import ADAPTIVE_BATCH_SIZE, BatchSize, HangTimeout, ReplicaCount, checked
from clipper_nb.protocol.provenance import NO_PROVENANCE, Provenance
from clipper_nb.protocol.records import TextOutputs, options_of
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.rest import AddModel, DeployState


@dataclass(frozen=True)
class NewVersion:
    """Everything that a caller specifies of a version before its deploy; omitted fields have defaults.

    A new option of a deploy is a field here, with its check in :func:`make_new_version`; its type and its manual are in
    ``deploy_options.py``. If it is kept with the version, it is a field of ``VersionOptions`` too.
    """

    model_id: ModelId
    input_type: InputType
    image: str = ""
    """Empty until it is built."""
    labels: Sequence[str] = ()
    num_replicas: ReplicaCount = 1
    """With how many it begins, if it is autoscaled."""
    is_scaled_as_before: bool = True
    """Whether the caller named no number: the rule by which the model's current version is autoscaled goes on."""
    autoscaling: ScalingRule | None = None
    """By which rule the cluster sets the number once it is registered."""
    batch_size: BatchSize = ADAPTIVE_BATCH_SIZE
    timeout_s: float = 60.0
    """Seconds that the replicas may take to load the model."""
    limits: ResourceLimits = NO_LIMITS
    isolate_errors: bool = True
    """Whether a batch that the model raised on is computed again in parts, so that what fails in it fails alone."""
    hang_timeout_s: HangTimeout = DEFAULT_HANG_TIMEOUT_S
    """After how many seconds at one batch a replica is replaced; ``None`` is never."""
    base_image: str = DEFAULT_BASE_IMAGE
    registry: str | None = None
    packages: Sequence[str] = ()
    """pip requirements."""
    system_packages: tuple[str, ...] = ()
    """Packages of Debian."""
    text_outputs: TextOutputs = "json"
    """``"text"``: text that the model returns stays text, even if it is JSON."""
    environment_variables: EnvironmentVariables = NO_VARIABLES
    files: tuple[str, ...] = ()
    """Files and folders of the notebook's working directory that its replicas have in theirs."""
    network_access: bool | None = None
    """Whether its replicas have a network; ``None`` leaves it to the container manager."""
    takes_next_number: bool = False
    """Whether the caller named no version: it gets the model's next free number, of those that no other deploy has."""
    becomes_current: bool = True
    """Whether its model's queries switch to it once its replicas are connected."""
    before: DeployState | None = None
    """What the cluster had when the version was checked there; not set by the caller."""

    def numbered(self, number: str) -> NewVersion:
        """Return it as the version of that number, unless the caller named another."""
        return replace(self, model_id=ModelId(self.model_id.name, number)) if self.takes_next_number else self

    def image_request(
        self, cluster_name: str, folder: Path, *, goes_with_version: bool, owns_files: bool = False
    ) -> ImageRequest:
        """Return what its image is made from; *folder* becomes the model's folder in the image."""
        return ImageRequest(
            cluster_name=cluster_name,
            model_id=self.model_id,
            model_data_path=str(folder),
            base_image=self.base_image,
            packages=self.packages,
            container_registry=self.registry,
            owns_files=owns_files,
            goes_with_version=goes_with_version,
        )

    def registration(self, provenance: Provenance = NO_PROVENANCE, claim_id: str | None = None) -> AddModel:
        """Return the request that registers it, as the current version unless it says otherwise."""
        return AddModel(
            *self.model_id,
            input_type=str(self.input_type),
            labels=list(self.labels),
            container_name=self.image,
            batch_size=self.batch_size,
            provenance=provenance,
            num_replicas=self.num_replicas,
            claim_id=claim_id,
            environment_variables=self.environment_variables,
            becomes_current=self.becomes_current,
            autoscaling=self.autoscaling,
            **options_of(self),
        )

    def scaled_as(self, state: DeployState) -> NewVersion:
        """Return it with the rule by which the model's current version is autoscaled, unless the caller chose."""
        if not self.is_scaled_as_before or state.autoscaling is None:
            return self
        number = state.autoscaling.nearest(state.num_replicas)
        return replace(self, num_replicas=number, autoscaling=state.autoscaling)

    @property
    def progress_title(self) -> str:
        """What its deploy shows: also what becomes of autoscaling, if the model is autoscaled."""
        if self.autoscaling is not None:
            return f"Deploy {self.model_id}, autoscaled ({self.autoscaling.bounds} replicas)"
        before = self.before
        if before is None or before.autoscaling is None or not self.becomes_current:
            return f"Deploy {self.model_id}"
        last = f"{self.model_id.name}:{before.current_version}"
        return f"Deploy {self.model_id}; autoscaling ({before.autoscaling.bounds} replicas) ends with {last}"

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the processes that serve it."""
        return replica_variables(
            self.environment_variables.values, text_outputs=self.text_outputs, hang_timeout_s=self.hang_timeout_s
        )

    def with_variables(self, names: Sequence[str], notebook: Mapping[str, str] = os.environ) -> NewVersion:
        """Return it with the environment variables that its code reads, as they are in the notebook now."""
        return replace(self, environment_variables=add_read_variables(self.environment_variables, names, notebook))


def registered_version(record: VersionInfo, variables: EnvironmentVariables) -> NewVersion:
    """Return a version that was deployed before, with what its replicas depend on."""
    return NewVersion(
        record.model_id,
        record.input_type,
        record.image,
        environment_variables=variables,
        **options_of(record),
    )


def make_new_version(
    name: str,
    version: int | str | None,
    input_type: str,
    *,
    labels: Sequence[str] | None = None,
    num_replicas: int | None = None,
    timeout_s: float = 60.0,
    limits: ResourceLimits | None = None,
    isolate_errors: bool = True,
    network_access: bool | None = None,
    packages: Sequence[str] | None = None,
    system_packages: Sequence[str] | None = None,
    text_outputs: object = "json",
    allow_large: bool = True,
    environment_variables: ChosenVariables = None,
    files: Sequence[str] | None = None,
    **others: Any,
) -> NewVersion:
    """Return a checked version with everything that the caller specified.

    Parameters
    ----------
    name, version, input_type : str
        ``None`` as version stands for the next free number, which is not known before the cluster is asked.
    labels, num_replicas, timeout_s, limits, isolate_errors, network_access, packages, system_packages, text_outputs
    environment_variables, files
        ``None`` stands for an omitted argument.
    allow_large : bool
        Whether the files may have more than 100 MB.
    **others
        Further fields of :class:`NewVersion`.

    Raises
    ------
    InvalidRequestError
        The first argument that is not valid; the message says what was expected.
    """
    model_id = ModelId(check_model_name(name), "" if version is None else check_version(version))
    check_timeout(timeout_s)
    return checked(
        NewVersion(
            model_id,
            parse_input_type(input_type),
            labels=check_labels(labels),
            num_replicas=1 if num_replicas is None else num_replicas,
            is_scaled_as_before=num_replicas is None,
            timeout_s=timeout_s,
            limits=check_limits(limits),
            isolate_errors=check_flag("isolate_errors", isolate_errors),
            network_access=None if network_access is None else check_flag("network_access", network_access),
            packages=check_packages(packages),
            system_packages=tuple(check_system_packages(system_packages)),
            text_outputs=check_text_outputs(text_outputs),
            environment_variables=check_environment_variables(environment_variables),
            files=check_files(files, allow_large=allow_large),
            takes_next_number=version is None,
            **others,
        )
    )
