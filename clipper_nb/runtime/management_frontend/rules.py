"""The rules for changes of the configuration. (pure)

Each function takes the configuration and returns the changed one, or raises one of this package's errors. They run
inside the store's transaction, so what they check still holds when their result is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from msgspec import structs

from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClaimLostError,
    ExistsError,
    InputTypeConflictError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    VersionClaimedError,
    VersionExistsError,
)
from clipper_nb.protocol.application_tokens import ApplicationToken, token_id
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, Claim, Configuration, ModelVersion
from clipper_nb.protocol.route import Route, RouteTarget

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def find_application(configuration: Configuration, name: str) -> Application:
    """Return the application with that name; raises :class:`ApplicationNotFoundError`."""
    application = configuration.applications.get(name)
    if application is None:
        raise ApplicationNotFoundError(name, sorted(configuration.applications))
    return application


def find_version(configuration: Configuration, model_id: ModelId) -> ModelVersion:
    """Return the registered version; raises :class:`ModelNotFoundError`, which lists the existing ones."""
    version = configuration.versions.get(model_id)
    if version is None:
        versions = [known.version for known in configuration.versions_of(model_id.name)]
        if not versions:
            raise ModelNotFoundError(model_id.name, known=configuration.model_names())
        raise ModelNotFoundError(model_id.name, model_id.version, known=versions)
    return version


def register_application(configuration: Configuration, application: Application) -> Configuration:
    """Add an application."""
    if application.name in configuration.applications:
        raise ExistsError(
            f"An application with name '{application.name}' already exists. Choose another name or call "
            "unregister_application() first."
        )
    return replace(configuration, applications=_with(configuration.applications, application.name, application))


def unregister_application(configuration: Configuration, name: str) -> Configuration:
    """Remove an application, its link, its tokens, its shadow and its roll-out."""
    find_application(configuration, name)
    return replace(
        configuration,
        applications=_without(configuration.applications, name),
        routes=_without(configuration.routes, name),
        tokens={token_id: token for token_id, token in configuration.tokens.items() if token.application_name != name},
        shadows=_without(configuration.shadows, name),
        roll_outs=_without(configuration.roll_outs, name),
    )


def create_token(configuration: Configuration, token: ApplicationToken) -> Configuration:
    """Add a token of an application."""
    find_application(configuration, token.application_name)
    if token.token_id in configuration.tokens:
        raise ExistsError(
            f"Application '{token.application_name}' already has a token with name '{token.name}'. Choose another "
            f"name, or call revoke_token('{token.application_name}', '{token.name}') first."
        )
    return replace(configuration, tokens=_with(configuration.tokens, token.token_id, token))


def revoke_token(configuration: Configuration, application_name: str, name: str) -> Configuration:
    """Remove a token of an application."""
    known = [token.name for token in find_tokens(configuration, application_name)]
    if name not in known:
        raise NotFoundError(
            f"Application '{application_name}' has no token with name '{name}'. Tokens: {', '.join(known) or 'none'}."
        )
    return replace(configuration, tokens=_without(configuration.tokens, token_id(application_name, name)))


def find_tokens(configuration: Configuration, application_name: str) -> list[ApplicationToken]:
    """Return the tokens of an application, oldest first; raises :class:`ApplicationNotFoundError`."""
    find_application(configuration, application_name)
    found = [token for token in configuration.tokens.values() if token.application_name == application_name]
    return sorted(found, key=lambda token: (token.created_at, token.name))


def register_version(
    configuration: Configuration,
    version: ModelVersion,
    *,
    num_replicas: int = 0,
    claim_id: str | None = None,
    becomes_current: bool = True,
) -> Configuration:
    """Add a model version, end the claim under which it was deployed, and make it current if it *becomes_current*."""
    if version.model_id in configuration.versions:
        raise VersionExistsError(*version.model_id, configuration.next_version_of(version.name))
    check_claim(configuration, version.model_id, claim_id)
    check_input_type_of_links(configuration, version.name, version.input_type)
    version = _registered_last(configuration, version)
    current_versions = configuration.current_versions
    if becomes_current:
        current_versions = _with(current_versions, version.name, version.version)
    return replace(
        configuration,
        versions=_with(configuration.versions, version.model_id, version),
        current_versions=current_versions,
        num_replicas=_with(configuration.num_replicas, version.model_id, num_replicas),
        claims=_without(configuration.claims, version.model_id),
    )


def unregister_version(configuration: Configuration, model_id: ModelId) -> Configuration:
    """Remove a model version, and the claim of a caller that is deploying or scaling it.

    A model whose current version is removed has none until another is set. Where the version itself has a share of an
    application's queries, the other targets get it. It is no application's shadow any more.
    """
    if model_id not in configuration.claims:
        find_version(configuration, model_id)
    current_versions = configuration.current_versions
    if current_versions.get(model_id.name) == model_id.version:
        current_versions = _without(current_versions, model_id.name)
    return replace(
        configuration,
        versions=_without(configuration.versions, model_id),
        current_versions=current_versions,
        routes=_without_version(configuration.routes, model_id),
        num_replicas=_without(configuration.num_replicas, model_id),
        autoscaling=_without(configuration.autoscaling, model_id),
        claims=_without(configuration.claims, model_id),
        shadows={name: shadow for name, shadow in configuration.shadows.items() if shadow.model_id != model_id},
    )


def set_current_version(configuration: Configuration, model_id: ModelId) -> Configuration:
    """Make a registered version the model's current one."""
    version = find_version(configuration, model_id)
    check_input_type_of_links(configuration, model_id.name, version.input_type)
    return replace(
        configuration, current_versions=_with(configuration.current_versions, model_id.name, model_id.version)
    )


def set_num_replicas(
    configuration: Configuration, model_id: ModelId, num_replicas: int, claim_id: str | None
) -> Configuration:
    """Set how many replicas of a registered version should run, which ends its autoscaling."""
    find_version(configuration, model_id)
    check_claim(configuration, model_id, claim_id)
    return replace(
        configuration,
        num_replicas=_with(configuration.num_replicas, model_id, num_replicas),
        autoscaling=_without(configuration.autoscaling, model_id),
    )


def claim_version(
    configuration: Configuration, claim: Claim, *, is_new: bool, replaces: str | None = None
) -> Configuration:
    """Grant a caller a claim on a version, to deploy it (*is_new*) or to scale it.

    *replaces* is the id of the caller's older claim. Requests under that claim are rejected from then on, even one that
    is still on its way.
    """
    if is_new and claim.model_id in configuration.versions:
        raise VersionExistsError(*claim.model_id, configuration.next_version_of(claim.model_name))
    if not is_new:
        find_version(configuration, claim.model_id)
    known = configuration.claims.get(claim.model_id)
    if known is not None and known.claim_id not in (claim.claim_id, replaces):
        raise _claimed(configuration, known)
    return replace(configuration, claims=_with(configuration.claims, claim.model_id, claim))


def release_claim(configuration: Configuration, model_id: ModelId, claim_id: str) -> Configuration:
    """End a claim; does nothing if it has ended or was taken over."""
    known = configuration.claims.get(model_id)
    if known is None or known.claim_id != claim_id:
        return configuration
    return replace(configuration, claims=_without(configuration.claims, model_id))


def check_claim(configuration: Configuration, model_id: ModelId, claim_id: str | None) -> None:
    """Raise an error if another caller holds the version, or the caller has lost its claim."""
    known = configuration.claims.get(model_id)
    if known is None and claim_id is not None:
        raise ClaimLostError(str(model_id))
    if known is not None and known.claim_id != claim_id:
        raise _claimed(configuration, known)


def check_input_type_of_links(configuration: Configuration, model_name: str, input_type: InputType) -> None:
    """Raise :class:`InputTypeConflictError` if a linked application has another input type."""
    for application_name, route in configuration.routes.items():
        application = configuration.applications[application_name]
        if model_name in route.model_names and application.input_type != input_type:
            raise InputTypeConflictError(model_name, input_type, application_name, application.input_type)
        combiner = route.combiner
        if combiner is not None and combiner == RouteTarget(model_name) and input_type != InputType.JSON:
            raise InvalidRequestError(
                f"Model '{model_name}' combines the outputs of application '{application_name}' and gets them as "
                f"json; a version that takes {input_type} cannot."
            )


def _without_version(routes: Mapping[str, Route], model_id: ModelId) -> Mapping[str, Route]:
    """Return the routes without a version: one that is registered under its name later is another one."""
    kept = {
        name: route.without(lambda target: (target.model_name, target.version) == model_id)
        for name, route in routes.items()
    }
    return {name: route for name, route in kept.items() if route is not None}


def _registered_last(configuration: Configuration, version: ModelVersion) -> ModelVersion:
    """Return the version with a time after the model's other versions', even if the clock was set back."""
    newest_s = max((other.registered_at for other in configuration.versions.values() if other.name == version.name),
                   default=float("-inf"))  # fmt: skip
    return version if version.registered_at > newest_s else structs.replace(version, registered_at=newest_s + 1e-6)


def _claimed(configuration: Configuration, claim: Claim) -> VersionClaimedError:
    free = configuration.next_version_of(claim.model_name)
    return VersionClaimedError(
        f"{claim.model_id} is being deployed or scaled by {claim.holder}. Wait until that has ended, or deploy another "
        f"version: '{free}' is free."
    )


def _with(mapping: Mapping[_Key, _Value], key: _Key, value: _Value) -> dict[_Key, _Value]:
    return {**mapping, key: value}


def _without(mapping: Mapping[_Key, _Value], key: _Key) -> dict[_Key, _Value]:
    return {other: value for other, value in mapping.items() if other != key}
