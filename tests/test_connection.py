"""What a connection says before it has a cluster."""

from __future__ import annotations

import inspect

import pytest

from clipper_nb import ClipperConnection, UnconnectedException

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
    method = getattr(ClipperConnection(object()), name)
    required = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
    with pytest.raises(UnconnectedException) as info:
        method(**dict.fromkeys(required))
    assert str(info.value) == f"{name}() needs a cluster: call start_clipper() or connect() first."


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
