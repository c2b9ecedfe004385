"""The rules for the models and versions that an application's queries go to. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clipper_nb.errors import ExistsError, InvalidRequestError, ModelNotFoundError, NotFoundError
from clipper_nb.protocol.feedback import can_average
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import Application, Configuration
from clipper_nb.protocol.route import Route, RouteTarget, format_share, link_to, make_route
from clipper_nb.runtime.management_frontend.rules import find_application, find_version


def link_model(configuration: Configuration, application_name: str, model_name: str) -> Configuration:
    """Link a model to an application that has none."""
    application = find_application(configuration, application_name)
    refuse_during_roll_out(configuration, application_name)
    route = link_to(model_name)
    check_target(configuration, application, route.targets[0])
    linked = configuration.routes.get(application_name)
    if linked == route:
        raise ExistsError(f"Model '{model_name}' is already linked to application '{application_name}'.")
    if linked is not None and linked.is_link:
        other = linked.targets[0].model_name
        raise ExistsError(
            f"Application '{application_name}' is already linked to model '{other}', and it can have one model. "
            f"Call unlink_model_from_app('{application_name}', '{other}') first."
        )
    if linked is not None:
        raise ExistsError(
            f"Application '{application_name}' has its traffic set: {linked}. To send all queries to '{model_name}', "
            f"call set_traffic('{application_name}', {{'{model_name}': 1}})."
        )
    return with_route(configuration, application_name, route)


def unlink_model(configuration: Configuration, application_name: str, model_name: str) -> Configuration:
    """Remove a model with all its versions from those that an application's queries go to."""
    find_application(configuration, application_name)
    refuse_during_roll_out(configuration, application_name)
    route = configuration.routes.get(application_name)
    if route is None or model_name not in route.model_names:
        raise NotFoundError(f"Model '{model_name}' is not linked to application '{application_name}'.")
    kept = route.without(lambda target: target.model_name == model_name)
    return with_route(configuration, application_name, kept)


def set_traffic(
    configuration: Configuration, application_name: str, weights: Mapping[str, float], policy: Policy | None = None
) -> Configuration:
    """Divide an application's queries by checked weights of models and versions of its input type, or by a policy."""
    application = find_application(configuration, application_name)
    refuse_during_roll_out(configuration, application_name)
    route = make_route(weights, policy)
    named: dict[ModelId, RouteTarget] = {}
    for target in route.targets:
        model_id = check_target(configuration, application, target)
        if model_id in named:
            raise InvalidRequestError(
                f"'{named[model_id]}' and '{target}' are the same version: {model_id} is the current one of its model. "
                f"Name it once: as '{model_id}', which stays that version, or as '{model_id.name}', which becomes "
                "another when another is made current."
            )
        named[model_id] = target
        if policy is not None and policy.asks_all and policy.combine == "mean":
            _check_mean(configuration, model_id)
    if route.combiner is not None:
        _check_combiner(configuration, route.combiner)
    return with_route(configuration, application_name, route)


def refuse_during_roll_out(configuration: Configuration, application_name: str) -> None:
    """Raise ``ExistsError`` if a roll-out sets the application's traffic now."""
    roll_out = configuration.roll_outs.get(application_name)
    if roll_out is not None and roll_out.is_under_way:
        raise ExistsError(
            f"A roll-out of {roll_out.plan.model_id} sets the traffic of application '{application_name}', now "
            f"{format_share(roll_out.share)}. End it first: conn.roll_outs[{application_name!r}].abort() restores the "
            "traffic of before, .promote() sends it all queries."
        )


def check_target(configuration: Configuration, application: Application, target: RouteTarget) -> ModelId:
    """Return the version that a target means now; raise an error unless it takes the application's input type."""
    model_id = target.resolve(configuration.current_versions)
    if model_id is None:
        raise ModelNotFoundError(target.model_name, known=sorted(configuration.current_versions))
    model_type = find_version(configuration, model_id).input_type
    if model_type != application.input_type:
        raise InvalidRequestError(
            f"Model '{model_id.name}' takes {model_type} (version {model_id.version}) and application "
            f"'{application.name}' takes {application.input_type}: their input types must be the same."
        )
    return model_id


def _check_mean(configuration: Configuration, model_id: ModelId) -> None:
    """Raise an error if the output that a version's deploy kept as an example cannot be averaged."""
    example = find_version(configuration, model_id).provenance.example
    if example is not None and not can_average(example.output):
        raise InvalidRequestError(
            f"{model_id} answers {example.output!r:.60}, which is no number and no list of numbers: it has no mean. "
            "Use combine='vote'."
        )


def _check_combiner(configuration: Configuration, target: RouteTarget) -> None:
    """Raise an error unless a model that should combine outputs is there and takes JSON."""
    version = configuration.version_of(target)
    if version is None:
        raise NotFoundError(
            f"combine={str(target)!r} is neither 'vote' nor 'mean', and no such model exists. Deploy the model that "
            "combines outputs first, with the input type 'json'."
        )
    input_type = version.input_type
    if input_type != InputType.JSON:
        raise InvalidRequestError(
            f"{version.model_id} takes {input_type}, and what combines outputs gets them as json. Deploy it as json: "
            "its function gets a list of {'predictions': {model: output}, 'weights': {model: share}}."
        )


def with_route(configuration: Configuration, application_name: str, route: Route | None) -> Configuration:
    """Return the configuration with another route of an application, or with none."""
    others = {name: other for name, other in configuration.routes.items() if name != application_name}
    return replace(configuration, routes=others if route is None else {**others, application_name: route})
