"""The rules for the version that is asked beside those that answer an application's queries. (pure)"""

from __future__ import annotations

from dataclasses import replace

from clipper_nb.errors import InvalidRequestError, NotFoundError
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.route import RouteTarget
from clipper_nb.protocol.shadow import Shadow
from clipper_nb.runtime.management_frontend.rules import find_application
from clipper_nb.runtime.management_frontend.traffic_rules import check_target


def set_shadow(configuration: Configuration, application_name: str, shadow: Shadow | None) -> Configuration:
    """Ask a version of an application's input type besides, in place of the one before; ``None`` ends it.

    Raises
    ------
    ApplicationNotFoundError, ModelNotFoundError
    NotFoundError
        There is no such version, or no shadow to end.
    InvalidRequestError
        It takes another input type, or answers the application's queries, or nothing does.
    """
    application = find_application(configuration, application_name)
    if shadow is None:
        if application_name not in configuration.shadows:
            raise NotFoundError(f"Application '{application_name}' has no shadow.")
        return _with_shadow(configuration, application_name, None)
    model_id = check_target(configuration, application, RouteTarget(shadow.model_name, 1.0, shadow.version))
    _check_answers_nothing(configuration, application_name, model_id)
    return _with_shadow(configuration, application_name, shadow)


def _check_answers_nothing(configuration: Configuration, application_name: str, model_id: ModelId) -> None:
    route = configuration.routes.get(application_name)
    if route is None:
        raise InvalidRequestError(
            f"No model is linked to application '{application_name}', so there is nothing to compare {model_id} with. "
            "Call link_model_to_app() or set_traffic() first."
        )
    if any(target.resolve(configuration.current_versions) == model_id for target in route.targets):
        raise InvalidRequestError(
            f"{model_id} answers queries of application '{application_name}', whose traffic is {route}: it would be "
            "the shadow of itself. Give it no share, or choose another version."
        )


def _with_shadow(configuration: Configuration, application_name: str, shadow: Shadow | None) -> Configuration:
    others = {name: other for name, other in configuration.shadows.items() if name != application_name}
    return replace(configuration, shadows=others if shadow is None else {**others, application_name: shadow})
