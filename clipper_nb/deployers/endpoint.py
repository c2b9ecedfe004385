"""Derives ``create_endpoint`` of each deployer from its deploy function: it creates all of an endpoint or nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from clipper_nb.cluster.argument_checks import check_connection
from clipper_nb.cluster.endpoints import EndpointHandle
from clipper_nb.display.announcement import announce
from clipper_nb.errors import ClaimLostError, ClipperException, ExistsError
from clipper_nb.protocol.names import check_application_name
from clipper_nb.protocol.number_rules import SLO_MICROS
from clipper_nb.protocol.records import DEFAULT_OUTPUT, DEFAULT_SLO_MICROS

if TYPE_CHECKING:
    from clipper_nb.cluster.new_version import NewVersion
    from clipper_nb.connection import ClipperConnection
    from clipper_nb.protocol.descriptions import ApplicationInfo
    from clipper_nb.protocol.input_types import InputType

_MAX_TRIES = 10
"""Each lost try means that another caller deploys that number of the model."""

_MANUAL = """Register an application, deploy {what}, and link the two.

    When a step fails, nothing is left of it, so it can be tried again. Without a version the same call can be repeated:
    an endpoint that exists, with the same settings, gets the next version.

    Parameters
    ----------
    {parameters}
        As for :func:`{deploy}`; *name* is also the application's.
    default_output : str
        What the application answers when no prediction arrives within the SLO.
    slo_micros : int
        The application's latency SLO, in microseconds.

    Raises
    ------
    ExistsError
        The application, or that version of the model, exists; without a version: the application has other settings.
    DeploymentError
        As for :func:`{deploy}`.

    Returns
    -------
    EndpointHandle
        It has ``predict``, ``url``, ``versions``, ``logs()``, ``rollback()``, ``delete()``.

    Examples
    --------
    {example}
    """

_ENDPOINTS_OWN = (
    Parameter("default_output", Parameter.POSITIONAL_OR_KEYWORD, default="None", annotation="str"),
    Parameter("version", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="int | str | None"),
    Parameter("slo_micros", Parameter.POSITIONAL_OR_KEYWORD, default=3000000, annotation="int"),
)


def endpoint(
    deploy: Callable[..., object], *, example: str, what: str = "a function as a model of the same name"
) -> Callable[..., EndpointHandle]:
    """Return ``create_endpoint`` for a deploy function, with a signature and a manual made from the function's own.

    Parameters
    ----------
    deploy : callable
        ``deploy(clipper_conn, name, version, input_type, ...)``.
    example : str
        Lines for the manual.
    what : str
        What is deployed, for the manual.
    """
    signature = _endpoint_signature(inspect.signature(deploy))

    def create_endpoint(*args: Any, **kwargs: Any) -> EndpointHandle:
        given = signature.bind(*args, **kwargs).arguments
        default_output, version, slo_micros = (given.pop(own.name, own.default) for own in _ENDPOINTS_OWN)
        conn, name, input_type = (given[each] for each in ("clipper_conn", "name", "input_type"))
        return deploy_endpoint(
            conn, name, version, input_type, lambda number: deploy(version=number, **given),
            default_output=default_output, slo_micros=slo_micros, may_exist=version is None,
        )  # fmt: skip

    create_endpoint.__signature__ = signature  # type: ignore[attr-defined]
    create_endpoint.__annotations__ = dict(
        deploy.__annotations__, default_output="str", slo_micros="int", **{"return": "EndpointHandle"}
    )
    create_endpoint.__module__ = deploy.__module__
    create_endpoint.__qualname__ = "create_endpoint"
    own = {"default_output", "slo_micros"}
    create_endpoint.__doc__ = _MANUAL.format(
        what=what,
        deploy=deploy.__name__,
        parameters=", ".join(name for name in signature.parameters if name not in own),
        example=example.strip().replace("\n", "\n    "),
    )
    return create_endpoint


def _endpoint_signature(deploy: Signature) -> Signature:
    """Return Clipper's order: what an endpoint needs, its own three, labels and registry, and the rest. (pure)"""
    parameters = [parameter for parameter in deploy.parameters.values() if parameter.name != "version"]
    by_keyword = [parameter for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]
    needed = [parameter for parameter in parameters if parameter.default is Parameter.empty]
    optional = [parameter for parameter in parameters if parameter not in needed + by_keyword]
    first = [parameter for parameter in optional if parameter.name in ("labels", "registry")]
    rest = [parameter for parameter in optional if parameter not in first]
    parameters = [*needed, *_ENDPOINTS_OWN, *first, *rest, *by_keyword]
    return deploy.replace(parameters=parameters, return_annotation="EndpointHandle")


def deploy_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    deploy: Callable[[str], object],
    *,
    default_output: str | None = None,
    slo_micros: int | None = None,
    may_exist: bool = False,
) -> EndpointHandle:
    """Register an application, let the caller deploy a model of the same name, and link the two.

    When a step fails, the steps before it are undone, so that the same call can be tried again. A model that had a
    current version before has it again, with its replicas.

    Parameters
    ----------
    clipper_conn : ClipperConnection
    name, input_type : str
    version : str or int, optional
        ``None`` takes the next free number.
    deploy : callable
        Deploys the version that it is called with; called again with a later number if another caller took that one.
    default_output : str, optional
    slo_micros : int, optional
        ``None`` for either is what the application has, or the default of ``register_application``.
    may_exist : bool
        Whether the application may be there: then it is kept, and the model gets another version.

    Raises
    ------
    ExistsError
        The application exists and may not, or has other settings than the call, or the version exists.
    """
    new, existing = check_endpoint(
        clipper_conn, name, version, input_type, default_output=default_output, slo_micros=slo_micros,
        may_exist=may_exist,
    )  # fmt: skip
    assert new.before is not None  # the cluster was asked
    before, number = new.before, new.model_id.version
    step = "register"
    try:
        if existing is None:
            clipper_conn.register_application(
                name, input_type,
                DEFAULT_OUTPUT if default_output is None else default_output,
                DEFAULT_SLO_MICROS if slo_micros is None else slo_micros,
            )  # fmt: skip
        step = "deploy"
        for tries_left in reversed(range(_MAX_TRIES if version is None else 1)):
            try:
                deploy(number)
                break
            except ExistsError as exc:
                if not tries_left or isinstance(exc, ClaimLostError):
                    raise
            number = clipper_conn.new_version(name, None, input_type).model_id.version
        step = "link"
        if existing is None or existing.linked_model is None:
            clipper_conn.link_model_to_app(name, name)
    except BaseException as exc:
        # Also when the user interrupts the cell, in the middle of a call that was carried out.
        taken = step if isinstance(exc, ExistsError) else None  # another caller's, then
        if taken != "deploy" and step != "register":
            with suppress(ClipperException):
                _remove_version(clipper_conn, name, number, before.current_version)
        if taken != "register" and not before.has_application:
            with suppress(ClipperException):
                clipper_conn.unregister_application(name)
        raise
    if version is None:
        announce(f"Deployed {name}:{number}.")
    return EndpointHandle(clipper_conn, name)


def check_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    *,
    default_output: str | None = None,
    slo_micros: int | None = None,
    may_exist: bool = False,
    **options: Any,
) -> tuple[NewVersion, ApplicationInfo | None]:
    """Return the version and the application that exists, after the checks of :func:`deploy_endpoint`.

    *options* are those of the version.
    """
    check_connection(clipper_conn)
    new = clipper_conn.new_version(name, version, input_type, **options)
    assert new.before is not None  # the cluster was asked
    check_application_name(name)
    if slo_micros is not None:
        SLO_MICROS.check(slo_micros)
    if not (may_exist and new.before.has_application):
        return new, None
    existing = clipper_conn.records("create_endpoint()").get_application(name)
    if existing is not None:
        _check_is_same(existing, new.input_type, default_output, slo_micros)
    return new, existing


def _check_is_same(
    existing: ApplicationInfo, input_type: InputType, default_output: str | None, slo_micros: int | None
) -> None:
    asked = {"input_type": input_type, "default_output": default_output, "slo_micros": slo_micros}
    found = {
        "input_type": existing.input_type, "default_output": existing.default_output, "slo_micros": existing.slo_micros
    }  # fmt: skip
    differing = [
        f"{what}={found[what]!s}, not {value!s}" for what, value in asked.items() if value not in (None, found[what])
    ]
    if differing:
        raise ExistsError(
            f"Endpoint '{existing.name}' exists with {'; '.join(differing)}. Deploy to it with what it has, or remove "
            f"it first: conn.endpoints[{existing.name!r}].delete()."
        )
    if existing.traffic:
        raise ExistsError(
            f"Application '{existing.name}' exists and has its traffic set: {existing.routing}. Deploy the version by "
            f"itself, and give it a share: conn.set_traffic({existing.name!r}, ...)."
        )
    if existing.linked_model not in (None, existing.name):
        raise ExistsError(
            f"Application '{existing.name}' exists and is linked to model '{existing.linked_model}', not to a model of "
            "its own name. Choose another name, or deploy a version of the linked model."
        )


def _remove_version(clipper_conn: ClipperConnection, name: str, version: str, before: str | None) -> None:
    """Stop the version, if it was deployed; first make the version that was current before current again."""
    if clipper_conn.get_model_info(name, version) is None:
        return
    if before is not None:
        with suppress(ClipperException):
            clipper_conn.set_model_version(name, before)
    clipper_conn.stop_versioned_models({name: [version]})
