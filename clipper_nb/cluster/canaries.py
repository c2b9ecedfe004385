"""A new version begins with a share of an application's queries: what ``%%deploy --canary`` does around its deploy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from clipper_nb.cluster.ports import ApplicationCalls, Records
from clipper_nb.display.announcement import announce
from clipper_nb.errors import ApplicationNotFoundError, ClipperException, InvalidRequestError
from clipper_nb.protocol.descriptions import ApplicationInfo
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.shares import weights_of, with_share
from clipper_nb.protocol.traffic import ApplicationTraffic

_EXAMPLE = "for example --canary digits=10"


@dataclass(frozen=True)
class Canary:
    """An application, and the share of its queries that a new version gets, from 0 to 1."""

    app_name: str
    share: float


def parse_canaries(texts: Sequence[str]) -> list[Canary]:
    """Return the canaries in texts such as ``"digits=10"``, in per cent.

    Raises
    ------
    InvalidRequestError
        One is something else, or is not above 0 and below 100, or an application is named twice.
    """
    canaries = [_parse(text) for text in texts]
    names = [canary.app_name for canary in canaries]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequestError(f"--canary names application '{name}' {names.count(name)} times: name it once.")
    return canaries


def check_canaries(records: Records, canaries: Sequence[Canary], model_name: str, input_type: InputType) -> None:
    """Raise an error if a new version cannot get its shares, or would get queries of an application that has no canary.

    Raises
    ------
    ApplicationNotFoundError
    InvalidRequestError
    """
    if not canaries:
        return
    applications = records.get_applications()
    by_name = {application.name: application for application in applications}
    for canary in canaries:
        if canary.app_name not in by_name:
            raise ApplicationNotFoundError(canary.app_name, list(by_name))
        _check_application(by_name[canary.app_name], model_name, input_type)
    named = {canary.app_name for canary in canaries}
    for roll_out in records.get_roll_outs():
        if roll_out.app_name in named and roll_out.is_under_way:
            raise InvalidRequestError(
                f"A roll-out of {roll_out.model} sets the traffic of application '{roll_out.app_name}': wait for its "
                f"end, or end it with conn.roll_outs[{roll_out.app_name!r}].abort() or .promote()."
            )
    for application in applications:
        if application.name not in named and model_name in _targets(application):
            raise InvalidRequestError(
                f"Application '{application.name}' sends its queries to the current version of '{model_name}' too, and "
                f"the new one becomes current: give it a share, --canary {application.name}=10, or let it keep its "
                f"version with conn.set_traffic({application.name!r}, {{{application.model!r}: 1}})."
            )


@contextmanager
def keeping_versions(conn: ApplicationCalls, canaries: Sequence[Canary], model_name: str) -> Iterator[None]:
    """Let the canaries' applications keep their versions while another one of *model_name* becomes current.

    If the block raises, their traffic is as before, unless another caller has changed it.
    """
    before = {canary.app_name: conn.get_traffic(canary.app_name) for canary in canaries}
    kept: dict[str, ApplicationTraffic] = {}
    try:
        for name, traffic in before.items():
            if any(target.target == model_name for target in traffic.targets):
                kept[name] = conn.set_traffic(name, _kept_weights(traffic, model_name))
        yield
    except BaseException:
        with suppress(ClipperException):  # what was raised says more
            for name, traffic in kept.items():
                if conn.get_traffic(name).shares == traffic.shares:
                    conn.set_traffic(name, {target.target: target.weight for target in before[name].targets})
        raise


def give_shares(conn: ApplicationCalls, canaries: Sequence[Canary], model_id: str) -> None:
    """Give a version its shares; the other targets divide the rest in their proportions."""
    for canary in canaries:
        shares = with_share(conn.get_traffic(canary.app_name).shares, model_id, canary.share)
        announce(repr(conn.set_traffic(canary.app_name, weights_of(shares))))


def _parse(text: str) -> Canary:
    name, _, number = text.partition("=")
    try:
        per_cent = float(number.removesuffix("%"))
    except ValueError:
        per_cent = -1.0
    if not name or not 0 < per_cent < 100:
        raise InvalidRequestError(
            f"--canary must be an application and a per cent above 0 and below 100, {_EXAMPLE}; it is '{text}'. To "
            "send all queries to the new version, use --link."
        )
    return Canary(name, per_cent / 100)


def _check_application(application: ApplicationInfo, model_name: str, input_type: InputType) -> None:
    name = application.name
    if application.input_type is not input_type:
        raise InvalidRequestError(f"Application '{name}' takes {application.input_type} and the model {input_type}.")
    if application.policy is not None:
        raise InvalidRequestError(
            f"The policy {application.policy.name} decides which target of application '{name}' answers: deploy "
            f"without --canary, and add the version to its targets with conn.set_traffic({name!r}, ..., policy=...)."
        )
    if application.model is None:
        raise InvalidRequestError(
            f"Application '{name}' has no model that answers yet, so the new version would get all its queries: use "
            f"--link {name}."
        )


def _targets(application: ApplicationInfo) -> set[str]:
    """Return the targets of an application; a link is the model."""
    return {target.target for target in application.traffic} or set(application.linked_models)


def _kept_weights(traffic: ApplicationTraffic, model_name: str) -> Mapping[str, float]:
    """Return weights with the model's current version in place of the model."""
    weights: dict[str, float] = {}
    for target in traffic.targets:
        name = target.model if target.target == model_name and target.model is not None else target.target
        weights[name] = weights.get(name, 0.0) + target.weight
    return weights
