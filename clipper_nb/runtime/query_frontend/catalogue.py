"""The applications as the query frontend shows them to clients: what each takes, and which version answers. (pure)"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clipper_nb.protocol.descriptions import TargetInfo, describe_targets
from clipper_nb.protocol.input_schemas import example_input, input_schema
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_columns import columns_of
from clipper_nb.protocol.records import Application, Configuration, ModelVersion
from clipper_nb.protocol.schema_words import describe_fields
from clipper_nb.runtime.routing.asked_version import versions_to_ask_for

VersionsOf = Callable[[str], Sequence[ModelVersion]]
"""Returns the versions of a model."""


@dataclass(frozen=True)
class CataloguedApplication:
    """An application, and what answers for it."""

    application: Application
    linked_model: str | None
    current_version: ModelVersion | None
    versions: tuple[str, ...] | None
    """The versions that it may be asked for; ``None`` if no model is linked."""
    traffic: str = ""
    """Among which models and versions its queries are divided, if they are."""
    targets: tuple[TargetInfo, ...] = ()
    """The same for programs."""

    @property
    def name(self) -> str:
        """The application's name, which is the first segment of its paths."""
        return self.application.name

    @property
    def predict_path(self) -> str:
        """The path of its predict requests, relative to the frontend's root."""
        return f"{self.name}/predict"

    @property
    def slo_text(self) -> str:
        """Its SLO, in milliseconds."""
        return f"{self.application.slo_micros / 1000:g} ms"

    @property
    def model_id(self) -> ModelId | None:
        """The version that answers."""
        return None if self.current_version is None else self.current_version.model_id

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of one input: that of the version that answers, or that of the input type."""
        of_version = None if self.current_version is None else self.current_version.provenance.input_schema
        return input_schema(self.application.input_type) if of_version is None else dict(of_version)

    @property
    def expectation(self) -> str:
        """What one input is, in words: the fields of the version that answers, or what the input type takes."""
        of_version = None if self.current_version is None else self.current_version.provenance.input_schema
        return self.application.input_type.expectation if of_version is None else describe_fields(of_version)

    @property
    def has_sample(self) -> bool:
        """Whether the deploy of the version that answers kept a sample."""
        return self.current_version is not None and self.current_version.provenance.example is not None

    @property
    def sample_input(self) -> Any:
        """The deploy's sample, or any input of the type."""
        if self.current_version is not None and self.current_version.provenance.example is not None:
            return self.current_version.provenance.example.input
        columns = None if self.current_version is None else columns_of(self.current_version.provenance.input_schema)
        return example_input(self.application.input_type) if columns is None else list(range(len(columns)))

    @property
    def sample_output(self) -> Any:
        """The output for the deploy's sample; ``None`` without one."""
        if self.current_version is not None and self.current_version.provenance.example is not None:
            return self.current_version.provenance.example.output
        return None


class Catalogue:
    """The applications of one configuration.

    Parameters
    ----------
    configuration : Configuration
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def find(self, name: str) -> CataloguedApplication | None:
        """Return the application of that name, or ``None``."""
        application = self._configuration.applications.get(name)
        return None if application is None else self._describe(application, self._configuration.versions_of)

    def __iter__(self) -> Iterator[CataloguedApplication]:
        """Yield all applications by name; each step is short."""
        versions = self._configuration.versions_by_model()
        for name in sorted(self._configuration.applications):
            yield self._describe(self._configuration.applications[name], versions.__getitem__)

    def _describe(self, application: Application, versions_of: VersionsOf) -> CataloguedApplication:
        route = self._configuration.routes.get(application.name)
        if route is None:
            return CataloguedApplication(application, None, None, None)
        return CataloguedApplication(
            application,
            self._configuration.linked_model_of(application.name),
            self._configuration.current_version_of(application.name),
            tuple(versions_to_ask_for(application, route, versions_of)),
            "" if route.is_link else str(route),
            () if route.is_link else tuple(describe_targets(self._configuration, route)),
        )
