"""What a connection says before it has a cluster."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from clipper_nb import ClipperConnection, InvalidRequestError, LocalContainerManager, UnconnectedException
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

NEED_NO_CLUSTER = {"start_clipper", "connect", "stop_all", "doctor", "test_predict_function"}
NAME_ANOTHER = {"new_version", "records"}
"""These name the method that they are called for."""
METHODS = [
    name
    for name, _ in inspect.getmembers(ClipperConnection, inspect.isfunction)
    if not name.startswith("_") and name not in NEED_NO_CLUSTER | NAME_ANOTHER
]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_that_needs_a_cluster_names_itself(name: str) -> None:
    method = getattr(ClipperConnection(LocalContainerManager()), name)
    required = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    with pytest.raises(UnconnectedException) as info:
        method(**dict.fromkeys(required))
    assert str(info.value) == f"{name}() needs a cluster: call start_clipper() or connect() first."


@pytest.mark.parametrize(
    ("manager", "found"), [("local", "'local'"), (None, "None"), (LocalContainerManager, "the class Local.*without")]
)
def test_what_is_no_container_manager_is_refused(manager: Any, found: str) -> None:
    conn = ClipperConnection(manager)
    for use in (conn.start_clipper, conn.connect, conn.stop_all):
        with pytest.raises(InvalidRequestError, match=rf"such as LocalContainerManager\(\).*got {found}"):
            use()


@pytest.mark.parametrize("deploy", [deploy_python_closure, create_endpoint])
@pytest.mark.parametrize("conn", [LocalContainerManager(), "digits", None, ClipperConnection])
def test_deployers_need_a_connection_first(deploy: Any, conn: Any) -> None:
    with pytest.raises(InvalidRequestError, match="first argument of a deployer is the connection"):
        deploy(conn, name="digits", version=1, input_type="doubles", func=len)


@pytest.mark.parametrize("port", ["1337", 80_000, -1, 1337.0, True])
def test_ports_are_checked_before_anything_starts(port: Any) -> None:
    with pytest.raises(InvalidRequestError, match="clipper_query_port must be a whole number, from 0 to 65535"):
        LocalContainerManager(clipper_query_port=port)


def test_methods_keep_their_names_signatures_and_manuals() -> None:
    register = ClipperConnection.register_application
    assert list(inspect.signature(register).parameters) == [
        "self",
        "name",
        "input_type",
        "default_output",
        "slo_micros",
    ]
    assert register.__qualname__ == "ClipperConnection.register_application"
    assert inspect.getdoc(register).startswith("Create an application")
