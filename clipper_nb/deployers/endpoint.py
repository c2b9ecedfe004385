"""Derives ``create_endpoint`` of each deployer from its deploy function: it creates all of an endpoint or nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from clipper_nb.errors import ClipperException, ExistsError

if TYPE_CHECKING:
    from clipper_nb.connection import ClipperConnection

_MANUAL = """Register an application, deploy {what}, and link the two.

    When a step fails, nothing is left of it, so it can be tried again.

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
        The application, or that version of the model, exists.
    DeploymentError
        As for :func:`{deploy}`.

    Examples
    --------
    {example}
    """

_ENDPOINTS_OWN = (
    Parameter("default_output", Parameter.POSITIONAL_OR_KEYWORD, default="None", annotation="str"),
    Parameter("version", Parameter.POSITIONAL_OR_KEYWORD, default=1, annotation="int | str"),
    Parameter("slo_micros", Parameter.POSITIONAL_OR_KEYWORD, default=3000000, annotation="int"),
)


def endpoint(
    deploy: Callable[..., None], *, example: str, what: str = "a function as a model of the same name"
) -> Callable[..., None]:
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

    def create_endpoint(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        default_output, slo_micros = given.pop("default_output"), given.pop("slo_micros")
        conn, name, version, input_type = (given[each] for each in ("clipper_conn", "name", "version", "input_type"))
        with new_endpoint(conn, name, version, input_type, default_output, slo_micros):
            deploy(**given)

    create_endpoint.__signature__ = signature  # type: ignore[attr-defined]
    create_endpoint.__annotations__ = dict(deploy.__annotations__, default_output="str", slo_micros="int")
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
    return deploy.replace(parameters=[*needed, *_ENDPOINTS_OWN, *first, *rest, *by_keyword])


@contextmanager
def new_endpoint(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str,
    input_type: str,
    default_output: str,
    slo_micros: int,
) -> Iterator[None]:
    """Register an application, let the caller deploy a model of the same name, and link the two.

    When a step fails, the steps before it are undone, so that the same call can be tried again. A model that had a
    current version before has it again, with its replicas.
    """
    before = clipper_conn.new_version(name, version, input_type).before
    assert before is not None  # the cluster was asked
    step = "register"
    try:
        clipper_conn.register_application(name, input_type, default_output, slo_micros)
        step = "deploy"
        yield
        step = "link"
        clipper_conn.link_model_to_app(name, name)
    except BaseException as exc:
        # Also when the user interrupts the cell, in the middle of a call that was carried out.
        taken = step if isinstance(exc, ExistsError) else None  # another caller's, then
        if taken != "deploy" and step != "register":
            with suppress(ClipperException):
                _remove_version(clipper_conn, name, str(version), before.current_version)
        if taken != "register" and not before.has_application:
            with suppress(ClipperException):
                clipper_conn.unregister_application(name)
        raise


def _remove_version(clipper_conn: ClipperConnection, name: str, version: str, before: str | None) -> None:
    """Stop the version, if it was deployed; first make the version that was current before current again."""
    if clipper_conn.get_model_info(name, version) is None:
        return
    if before is not None:
        with suppress(ClipperException):
            clipper_conn.set_model_version(name, before)
    clipper_conn.stop_versioned_models({name: [version]})
