"""Records with everything filled in that a test does not care about."""

from __future__ import annotations

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, Configuration, ModelVersion
from clipper_nb.protocol.route import Route, link_to


def make_application(
    name: str = "digits",
    input_type: InputType = InputType.STRINGS,
    *,
    default_output: str = "unknown",
    slo_micros: int = 100_000,
    registered_at: float = 1.0,
) -> Application:
    """Return an application."""
    return Application(name, input_type, default_output, slo_micros, registered_at)


def make_version(
    name: str = "digits-net",
    version: str = "1",
    input_type: InputType = InputType.STRINGS,
    *,
    batch_size: int = -1,
    registered_at: float = 1.0,
) -> ModelVersion:
    """Return a model version."""
    return ModelVersion(name, version, input_type, "image:1", (), batch_size, registered_at)


def make_configuration(
    *versions: ModelVersion,
    applications: tuple[Application, ...] = (),
    links: dict[str, str] | None = None,
    current: dict[str, str] | None = None,
    revision: int = 1,
) -> Configuration:
    """Return a configuration; of each model the version named last is current unless *current* says otherwise."""
    return Configuration(
        revision=revision,
        applications={application.name: application for application in applications},
        versions={ModelId(version.name, version.version): version for version in versions},
        current_versions={version.name: version.version for version in versions} if current is None else current,
        routes=make_routes(links or {}),
    )


def make_routes(links: dict[str, str]) -> dict[str, Route]:
    """Return the routes of linked applications, by their names."""
    return {name: link_to(model_name) for name, model_name in links.items()}
