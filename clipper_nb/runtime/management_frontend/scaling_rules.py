"""The rules of autoscaling: how it begins and moves on, as changes of the configuration. (pure)"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from clipper_nb.errors import ClipperException, InvalidRequestError
from clipper_nb.protocol.autoscaling import MAX_EVENTS, Autoscaling, ScalingEvent
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE, Configuration
from clipper_nb.runtime.management_frontend.autoscaling import Step
from clipper_nb.runtime.management_frontend.rules import check_claim, find_version


class SupersededError(ClipperException):
    """The version is not as it was looked at: a user changed it meanwhile, or is about to."""


def set_autoscaling(
    configuration: Configuration, model_id: ModelId, scaling: Autoscaling, claim_id: str | None = None, *, at: float
) -> Configuration:
    """Let the cluster choose how many replicas of a version run; a number outside of the bounds is corrected at once.

    Raises
    ------
    ModelNotFoundError
    VersionClaimedError, ClaimLostError
        Another caller is scaling the version, or the caller has lost its claim.
    InvalidRequestError
        The version is containerless, or should have no replica.
    """
    version = find_version(configuration, model_id)
    check_claim(configuration, model_id, claim_id)
    if version.image == CONTAINERLESS_IMAGE:
        raise InvalidRequestError(
            f"{model_id} is a containerless model: it was registered without an image, so clipper_nb cannot "
            "scale it. Start or stop its processes yourself."
        )
    number = configuration.num_replicas.get(model_id, 0)
    if number == 0:
        raise InvalidRequestError(
            f"{model_id} has no replica, and autoscaling starts more of those that run. Call "
            f"set_num_replicas({model_id.name!r}, {scaling.min_replicas}, {model_id.version!r}) first."
        )
    begun = scaling.nearest(number)
    text = f"autoscaling between {scaling.min_replicas} and {scaling.max_replicas} replicas begins with {begun}"
    return _moved(configuration, model_id, _with_event(scaling, at, text), begun)


def take_step(
    configuration: Configuration, model_id: ModelId, seen: Autoscaling, current: int, step: Step, *, at: float
) -> Configuration:
    """Set the number of replicas that was decided on, if the version is as it was *seen*, with *current* replicas.

    Raises
    ------
    SupersededError
    """
    is_same = configuration.autoscaling.get(model_id) == seen and configuration.num_replicas.get(model_id) == current
    if not is_same or model_id in configuration.claims:
        raise SupersededError(f"{model_id} was changed meanwhile.")
    after = _with_event(seen, at, f"{step.reason}: {current} -> {step.num_replicas} replicas")
    if step.num_replicas > current:
        after = structs.replace(after, too_few=current, too_few_work=step.too_few_work)
    return _moved(configuration, model_id, after, step.num_replicas)


def _with_event(scaling: Autoscaling, at: float, text: str) -> Autoscaling:
    return structs.replace(scaling, events=(*scaling.events, ScalingEvent(at, text))[-MAX_EVENTS:])


def _moved(configuration: Configuration, model_id: ModelId, scaling: Autoscaling, number: int) -> Configuration:
    return replace(
        configuration,
        autoscaling={**configuration.autoscaling, model_id: scaling},
        num_replicas={**configuration.num_replicas, model_id: number},
    )
