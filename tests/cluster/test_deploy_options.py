"""Options that every way to deploy has are stated once, and are in each signature and manual."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.cluster import deploy_options
from clipper_nb.cluster.deploy_options import DeployOptions, VersionOptions, complete_manual, with_options
from clipper_nb.cluster.new_version import make_new_version
from clipper_nb.deployers import (
    huggingface,
    keras,
    lightgbm,
    mlflow,
    onnx,
    pyspark,
    python,
    pytorch,
    r,
    tensorflow,
    xgboost,
)

OF_VERSIONS = set(inspect.get_annotations(VersionOptions))
OF_DEPLOYERS = OF_VERSIONS | set(inspect.get_annotations(DeployOptions))
FRAMEWORKS = (huggingface, keras, lightgbm, mlflow, onnx, pytorch, tensorflow, xgboost)
DEPLOYERS = {
    deployer: OF_DEPLOYERS
    for module, deploy in (
        (python, "deploy_python_closure"),
        (pyspark, "deploy_pyspark_model"),
        (r, "deploy_r_model"),
        *((module, f"deploy_{module.__name__.rpartition('.')[2]}_model") for module in FRAMEWORKS),
    )
    for deployer in (getattr(module, deploy), module.create_endpoint)
}
TIMEOUTS_S = {"pyspark": 180.0, "tensorflow": 180.0, "huggingface": 180.0, "keras": 120.0, "mlflow": 120.0}
"""Of those that take longer to start."""
EVERY_WAY = {
    **DEPLOYERS,
    ClipperConnection.deploy_model: OF_VERSIONS,
    ClipperConnection.build_and_deploy_model: OF_VERSIONS | {"files"},
}


def test_version_may_be_left_out_before_what_is_named() -> None:
    @with_options(VersionOptions)
    def deploy(conn: str, name: str, version: object, input_type: str, **options: Any) -> tuple[Any, ...]:
        return (conn, name, version, input_type)

    assert deploy("c", "m", input_type="ints") == deploy("c", "m", None, "ints")  # type: ignore[call-arg]
    assert deploy("c", "m", 2, input_type="ints") == ("c", "m", 2, "ints")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'input_type'"):
        deploy("c", "m", 2)  # type: ignore[call-arg]


def _names_in_manual(function: Callable[..., Any]) -> list[str]:
    section = re.split(r"\n\n", (inspect.getdoc(function) or "").partition("Parameters\n----------\n")[2])[0]
    headers = [line.partition(" :")[0] for line in section.splitlines() if not line.startswith(" ")]
    return [name for header in headers for name in header.split(", ")]


@pytest.mark.parametrize("function", EVERY_WAY, ids=lambda function: f"{function.__module__}.{function.__name__}")
def test_every_way_to_deploy_has_the_options(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    assert {name for name in EVERY_WAY[function] if name in parameters} == EVERY_WAY[function]
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in EVERY_WAY[function])
    assert all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters.values())


@pytest.mark.parametrize("function", [*DEPLOYERS, ClipperConnection.deploy_model], ids=lambda f: f.__qualname__)
def test_manual_explains_every_parameter_once(function: Callable[..., Any]) -> None:
    parameters = [name for name in inspect.signature(function).parameters if name != "self"]
    assert sorted(_names_in_manual(function)) == sorted(parameters)


@pytest.mark.parametrize("function", EVERY_WAY, ids=lambda function: f"{function.__module__}.{function.__name__}")
def test_defaults_are_those_of_a_new_version(function: Callable[..., Any]) -> None:
    new = make_new_version("net", 1, "doubles")
    parameters = inspect.signature(function).parameters
    for name in EVERY_WAY[function] - {"timeout_s"}:
        given = make_new_version("net", 1, "doubles", **{name: parameters[name].default})
        assert given == new
    assert parameters["timeout_s"].default == TIMEOUTS_S.get(function.__module__.rpartition(".")[2], 60.0)


def test_unknown_option_is_an_error_that_names_the_function() -> None:
    with pytest.raises(TypeError, match=r"deploy_python_closure\(\) got an unexpected keyword argument 'timeout'"):
        python.deploy_python_closure(None, "net", 1, "doubles", len, timeout=3)  # type: ignore[call-arg]


def test_omitted_option_is_left_to_the_version_unless_it_differs() -> None:
    @with_options(VersionOptions, timeout_s=180.0)
    def deploy(name: str, **options: Any) -> dict[str, Any]:
        return options

    assert deploy("net") == {"timeout_s": 180.0}
    assert deploy("net", timeout_s=3.0, limits=None) == {"timeout_s": 3.0, "limits": None}


def test_new_option_is_in_signature_and_manual(monkeypatch: pytest.MonkeyPatch) -> None:
    class Options(DeployOptions, total=False):
        labels: list[str]

    monkeypatch.setattr(
        deploy_options, "_MANUALS", deploy_options._MANUALS + "labels : list of str\n    Of any kind.\n"
    )

    @with_options(Options)
    def deploy(name: str, **options: Any) -> None:
        """Deploy it.

        Parameters
        ----------
        name : str
            Its own.
        **options : Options
            All.
        """

    assert inspect.signature(deploy).parameters["labels"].default is None
    manual = inspect.getdoc(deploy) or ""
    assert "name : str\n    Its own.\n" in manual
    assert "labels : list of str\n    Of any kind." in manual
    assert "**options" not in manual


def test_manual_keeps_what_is_around_its_parameters() -> None:
    manual = """Deploy.

    Parameters
    ----------
    version, name : str
        Two.

    Raises
    ------
    ExistsError
        It is there.

    Examples
    --------
    >>> deploy()
    """
    completed = complete_manual(manual, ["name", "version", "registry", "unknown"])
    assert completed == inspect.cleandoc(manual).replace(
        "    Two.", "    Two.\nregistry : str, optional\n    For Docker: where to push the image."
    )
    assert complete_manual(None, ["name"]) is None
    assert complete_manual("Deploy.", ["name"]) == "Deploy."
