"""What ``create_endpoint`` of every deployer has around the deploy: all of an endpoint or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from clipper_nb.errors import ClipperException, NotFoundError

if TYPE_CHECKING:
    from clipper_nb.connection import ClipperConnection


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

    When a step fails the steps before it are undone, so that the same call can be tried again. A model that had a
    current version before has it again, with its replicas.
    """
    clipper_conn.check_new_model_version(name, version, input_type)
    before = _current_version(clipper_conn, name)
    clipper_conn.register_application(name, input_type, default_output, slo_micros)
    is_deployed = False
    try:
        yield
        is_deployed = True
        clipper_conn.link_model_to_app(name, name)
    except BaseException:
        # Each step is tried: what cannot be undone now must not keep the rest, nor hide what went wrong.
        if is_deployed and before is not None:
            with suppress(ClipperException):
                clipper_conn.set_model_version(name, before)
        if is_deployed:
            with suppress(ClipperException):
                clipper_conn.stop_versioned_models({name: [str(version)]})
        with suppress(ClipperException):
            clipper_conn.unregister_application(name)
        raise


def _current_version(clipper_conn: ClipperConnection, name: str) -> str | None:
    try:
        return clipper_conn.get_current_model_version(name)
    except NotFoundError:
        return None
