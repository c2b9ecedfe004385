"""What ``create_endpoint`` of every deployer has around the deploy: all of an endpoint or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from clipper_nb.errors import ClipperException, ExistsError, NotFoundError

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
    was_there = clipper_conn.get_app_info(name) is not None
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
                _remove_version(clipper_conn, name, str(version), before)
        if taken != "register" and not was_there:
            with suppress(ClipperException):
                clipper_conn.unregister_application(name)
        raise


def _remove_version(clipper_conn: ClipperConnection, name: str, version: str, before: str | None) -> None:
    """Stop what was deployed, if it was; the version that was current before is current again, and first."""
    if clipper_conn.get_model_info(name, version) is None:
        return
    if before is not None:
        with suppress(ClipperException):
            clipper_conn.set_model_version(name, before)
    clipper_conn.stop_versioned_models({name: [version]})


def _current_version(clipper_conn: ClipperConnection, name: str) -> str | None:
    try:
        return clipper_conn.get_current_model_version(name)
    except NotFoundError:
        return None
