"""What users import and call: Clipper's names, parameters, order and defaults."""

from __future__ import annotations

import inspect

import pytest

import clipper_nb
from clipper_nb import ClipperConnection, errors
from clipper_nb.deployers import huggingface, keras, lightgbm, mlflow, onnx, pytorch, tensorflow, xgboost
from clipper_nb.deployers import pyspark as pyspark_deployer
from clipper_nb.deployers import python as python_deployer
from clipper_nb.deployers import r as r_deployer

CACHE_SIZE = 33554432
REQUIRED = inspect.Parameter.empty

# Clipper 0.4.1, except: images default to None (there are none to pull), and a base image may be left out.
CLIPPERS_METHODS = {
    "start_clipper": [
        ("query_frontend_image", None),
        ("mgmt_frontend_image", None),
        ("frontend_exporter_image", None),
        ("cache_size", CACHE_SIZE),
        ("qf_http_thread_pool_size", 1),
        ("qf_http_timeout_request", 5),
        ("qf_http_timeout_content", 300),
        ("num_frontend_replicas", 1),
    ],
    "connect": [],
    # Ours have defaults where Clipper has none, and no version is the next free one.
    "register_application": ["name", "input_type", ("default_output", "null"), ("slo_micros", 1_000_000)],
    "unregister_application": ["name"],
    "delete_application": ["name"],
    "link_model_to_app": ["app_name", "model_name"],
    "unlink_model_from_app": ["app_name", "model_name"],
    "build_and_deploy_model": [
        "name",
        "version",
        "input_type",
        "model_data_path",
        ("base_image", "default"),
        ("labels", None),
        ("container_registry", None),
        ("num_replicas", None),  # Clipper's 1, but for an autoscaled model
        ("batch_size", -1),
        ("pkgs_to_install", None),
    ],
    "build_model": [
        "name",
        "version",
        "model_data_path",
        ("base_image", "default"),
        ("container_registry", None),
        ("pkgs_to_install", None),
    ],
    "deploy_model": [
        "name",
        "version",
        "input_type",
        "image",
        ("labels", None),
        ("num_replicas", None),  # Clipper's 1, but for an autoscaled model
        ("batch_size", -1),
    ],
    "register_model": ["name", "version", "input_type", ("image", None), ("labels", None), ("batch_size", -1)],
    "get_current_model_version": ["name"],
    "get_num_replicas": ["name", ("version", None)],
    "set_num_replicas": ["name", ("num_replicas", None), ("version", None)],  # Clipper's call is the same; or bounds
    "get_all_apps": [("verbose", False)],
    "get_app_info": ["name"],
    "get_linked_models": ["app_name"],
    "get_all_models": [("verbose", False)],
    "get_model_info": ["name", "version"],
    "get_all_model_replicas": [("verbose", False)],
    "get_model_replica_info": ["name", "version", "replica_id"],
    "get_clipper_logs": [("logging_dir", None)],  # Clipper's working directory is the user's
    "inspect_instance": [],
    "set_model_version": ["name", "version", ("num_replicas", None)],
    "get_query_addr": [],
    "get_metric_addr": [],
    "stop_models": ["model_names"],
    "stop_versioned_models": ["model_versions_dict"],
    "stop_inactive_model_versions": ["model_names"],
    "stop_all_model_containers": [],
    "stop_all": [("graceful", True)],
    "test_predict_function": ["query", "func", "input_type"],
}

_SAME_TAIL = [
    ("labels", None),
    ("registry", None),
]
CLIPPERS_DEPLOYERS = {
    "create_endpoint": [
        "clipper_conn",
        "name",
        "input_type",
        "func",
        ("default_output", "None"),
        ("version", None),  # Clipper's 1 can be deployed only once
        ("slo_micros", 3000000),
        *_SAME_TAIL,
        ("base_image", "default"),
        ("num_replicas", None),  # Clipper's 1, but for an autoscaled model
        ("batch_size", -1),
        ("pkgs_to_install", None),
    ],
    "deploy_python_closure": [
        "clipper_conn",
        "name",
        "version",
        "input_type",
        "func",
        ("base_image", "default"),
        *_SAME_TAIL,
        ("num_replicas", None),  # Clipper's 1, but for an autoscaled model
        ("batch_size", -1),
        ("pkgs_to_install", None),
    ],
}


ENDPOINTS_BY_POSITION = {
    pyspark_deployer: ["clipper_conn", "name", "input_type", "func", "pyspark_model", "sc"],
    r_deployer: ["clipper_conn", "name", "input_type", "func"],
    pytorch: ["clipper_conn", "name", "input_type", "func", "pytorch_model"],
    keras: ["clipper_conn", "name", "input_type", "func", "model_path_or_object"],
    tensorflow: ["clipper_conn", "name", "input_type", "func", "tf_sess_or_saved_model_path"],
    onnx: ["clipper_conn", "name", "input_type", "func", "onnx_model"],
    xgboost: ["clipper_conn", "name", "input_type", "func", "xgboost_model"],
    lightgbm: ["clipper_conn", "name", "input_type", "func", "lightgbm_model"],
    mlflow: ["clipper_conn", "name", "input_type", "func", "mlflow_model"],
    huggingface: ["clipper_conn", "name", "input_type", "func", "pipeline"],
}


def positional_parameters(function):
    """Return name and default of each parameter that may be given by position, without ``self``."""
    parameters = inspect.signature(function).parameters.values()
    return [
        (parameter.name, parameter.default)
        for parameter in parameters
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]


def with_defaults(expected):
    return [one if isinstance(one, tuple) else (one, REQUIRED) for one in expected]


@pytest.mark.parametrize("name", sorted(CLIPPERS_METHODS))
def test_method_is_called_as_in_clipper(name):
    function = getattr(ClipperConnection, name)
    assert positional_parameters(function) == with_defaults(CLIPPERS_METHODS[name])


@pytest.mark.parametrize("name", sorted(CLIPPERS_DEPLOYERS))
def test_deployer_is_called_as_in_clipper(name):
    function = getattr(python_deployer, name)
    assert positional_parameters(function) == with_defaults(CLIPPERS_DEPLOYERS[name])


@pytest.mark.parametrize("deployer", ENDPOINTS_BY_POSITION, ids=lambda deployer: deployer.__name__)
def test_every_create_endpoint_goes_on_as_that_of_python(deployer):
    needed = ENDPOINTS_BY_POSITION[deployer]
    tail = CLIPPERS_DEPLOYERS["create_endpoint"][4:]
    assert positional_parameters(deployer.create_endpoint) == with_defaults([*needed, *tail])


@pytest.mark.parametrize(
    "function",
    [
        *(getattr(ClipperConnection, name) for name in sorted(CLIPPERS_METHODS)),
        *(getattr(python_deployer, name) for name in sorted(CLIPPERS_DEPLOYERS)),
    ],
    ids=lambda function: function.__name__,
)
def test_new_parameters_are_optional_keywords(function):
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert parameter.default is not REQUIRED


def test_every_public_method_has_a_manual():
    public = [name for name, _ in inspect.getmembers(ClipperConnection, inspect.isfunction) if name[0] != "_"]
    assert [name for name in public if not inspect.getdoc(getattr(ClipperConnection, name))] == []
    assert set(public) >= set(CLIPPERS_METHODS)


def test_creating_a_connection_does_nothing():
    """Its container manager may be anything, until it is used."""
    manager = object()
    conn = ClipperConnection(manager)
    assert conn.cm is manager
    assert conn.connected is False


def test_everything_listed_can_be_imported():
    namespace = {}
    exec("from clipper_nb import *", namespace)
    assert {name for name in namespace if name != "__builtins__"} == set(clipper_nb.__all__)


def test_list_is_sorted_and_without_repetition():
    assert clipper_nb.__all__ == sorted(set(clipper_nb.__all__))


def test_nothing_else_is_public():
    public = {name for name in vars(clipper_nb) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(clipper_nb, name))}
    for_ipython = {"load_ipython_extension"}
    assert public - modules - for_ipython - {"annotations", "Any", "TYPE_CHECKING"} <= set(clipper_nb.__all__)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'clipper_nb' has no attribute 'DockerManager'"):
        _ = clipper_nb.DockerManager


def test_completion_offers_every_public_name():
    assert set(dir(clipper_nb)) >= set(clipper_nb.__all__)


def test_every_error_that_users_may_catch_is_public():
    ours = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.ClipperException)
    }
    assert ours <= set(clipper_nb.__all__)


def test_public_errors_are_under_one_class():
    public = [getattr(clipper_nb, name) for name in clipper_nb.__all__]
    exceptions = [value for value in public if inspect.isclass(value) and issubclass(value, BaseException)]
    assert exceptions
    assert all(issubclass(value, clipper_nb.ClipperException) for value in exceptions)


def test_version_is_the_packages():
    assert clipper_nb.__version__.count(".") == 2
