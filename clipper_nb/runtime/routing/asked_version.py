"""The version that a request asks for by itself, in place of those that its application's route means. (pure)"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, Configuration, ModelVersion
from clipper_nb.protocol.route import Route


class UnknownVersionError(InvalidRequestError):
    """A request asked for a version that none of its application's models has, or several have."""

    def __init__(self, version: str, model_names: Sequence[str], found: Sequence[ModelId] = ()) -> None:
        names = ", ".join(model_names)
        if found:
            super().__init__(
                f"Requested version: {version} exists for each of the models: {names}. Ask for '{found[0]}' or another."
            )
        else:
            super().__init__(f"Requested version: {version} does not exist for model: {names}")


class OtherInputTypeError(UnknownVersionError):
    """A request asked for a version that would read its inputs as something else."""

    def __init__(self, model_id: ModelId, version_type: InputType, application: Application) -> None:
        InvalidRequestError.__init__(
            self,
            f"Requested version: {model_id} takes {version_type}, and application '{application.name}' takes "
            f"{application.input_type}. Ask an application of its input type.",
        )


def versions_to_ask_for(
    application: Application, route: Route | None, versions_of: Callable[[str], Sequence[ModelVersion]]
) -> list[str]:
    """Return the versions of the application's input type, ``"model:version"`` if it has several models."""
    names = () if route is None else route.model_names
    versions = [each for name in names for each in versions_of(name) if each.input_type is application.input_type]
    return [each.version if len(names) == 1 else str(each.model_id) for each in versions]


def find_version(configuration: Configuration, route: Route, asked: str) -> ModelId:
    """Return the version that is meant by ``"version"`` or ``"model:version"``, also one that has no share.

    Raises
    ------
    UnknownVersionError
        No model of the route has it, or several have.
    """
    model_name, _, version = asked.rpartition(":")
    found = [ModelId(name, version) for name in route.model_names if model_name in ("", name)]
    found = [model_id for model_id in found if model_id in configuration.versions]
    if len(found) != 1:
        raise UnknownVersionError(asked, route.model_names, found)
    return found[0]


def check_input_type(version: ModelVersion, application: Application) -> None:
    """Raise :class:`OtherInputTypeError` for an older version of a model that took another input type then."""
    if version.input_type is not application.input_type:
        raise OtherInputTypeError(version.model_id, version.input_type, application)
