"""All of an endpoint or nothing of it, whichever step fails."""

from __future__ import annotations

import inspect

import pytest

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
from clipper_nb.deployers.endpoint import check_endpoint, deploy_endpoint, endpoint
from clipper_nb.errors import (
    ClaimLostError,
    ClusterUnreachableError,
    ExistsError,
    InvalidNameError,
    InvalidRequestError,
)
from clipper_nb.protocol.descriptions import ApplicationInfo, TargetInfo
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rest import DeployState


class Connection:
    """Records calls; those named in *failures* raise. Each time that it is asked, the next version is another."""

    def __init__(self, current=None, *, is_registered=True, application=None, **failures):
        self.calls = []
        self.current = current
        self.is_registered = is_registered
        self.application = application
        self.failures = failures
        self._next = 2

    def __getattr__(self, method):
        def call(*arguments):
            self.calls.append((method, *arguments))
            if method in self.failures:
                raise self.failures[method]

        return call

    def new_version(self, name, version, input_type, **options):
        state = DeployState(
            release="0.1.0", query_frontend_releases=[], is_registered=False, current_version=self.current,
            has_application=self.application is not None, linked_input_types={}, next_version=str(self._next),
        )  # fmt: skip
        self._next += 1
        new = make_new_version(name, version, input_type, before=state, **options)
        return new.numbered(state.next_version)

    def get_model_info(self, name, version):
        return {"model_version": version} if self.is_registered else None

    def records(self, method):
        return self

    def get_application(self, name):
        return self.application

    def changes(self):
        return self.calls


def application(*linked_models, **fields):
    usual = {"input_type": InputType.DOUBLES, "default_output": "0", "slo_micros": 1000}
    return ApplicationInfo(name="digits", linked_models=linked_models, **{**usual, **fields})


REGISTER = ("register_application", "digits", "doubles", "0", 1000)
LINK = ("link_model_to_app", "digits", "digits")
STOP = ("stop_versioned_models", {"digits": ["2"]})
UNREGISTER = ("unregister_application", "digits")


def make_endpoint(connection, deploy=lambda version: None, version=2, **options):
    usual = {"default_output": "0", "slo_micros": 1000}
    return deploy_endpoint(connection, "digits", version, "doubles", deploy, **{**usual, **options})


def fail(version):
    raise KeyboardInterrupt


def test_application_is_registered_before_deploy_and_then_linked():
    connection = Connection()
    assert make_endpoint(connection, connection.calls.append).name == "digits"
    assert connection.changes() == [REGISTER, "2", LINK]


def test_failed_deploy_removes_the_application():
    connection = Connection(current="1", is_registered=False)
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection, fail)
    assert connection.changes() == [REGISTER, UNREGISTER]


def test_deploy_interrupted_after_its_last_step_is_undone():
    connection = Connection(current="1", is_registered=True)
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection, fail)
    assert connection.changes() == [REGISTER, ("set_model_version", "digits", "1"), STOP, UNREGISTER]


def test_version_that_another_caller_deployed_meanwhile_stays():
    def refuse(version):
        raise ExistsError("taken")

    connection = Connection(is_registered=True)
    with pytest.raises(ExistsError):
        make_endpoint(connection, refuse)
    assert connection.changes() == [REGISTER, UNREGISTER]


def test_interrupted_registration_leaves_no_application():
    connection = Connection(register_application=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection)
    assert connection.changes() == [REGISTER, UNREGISTER]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ExistsError("taken")])
def test_failed_link_restores_old_version_then_stops_new_one(failure):
    """Other applications of that model are served without a break."""
    connection = Connection(current="1", link_model_to_app=failure)
    with pytest.raises(type(failure)):
        make_endpoint(connection)
    assert connection.changes() == [REGISTER, LINK, ("set_model_version", "digits", "1"), STOP, UNREGISTER]


def test_new_model_has_no_version_to_be_set_back():
    connection = Connection(link_model_to_app=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection)
    assert connection.changes() == [REGISTER, LINK, STOP, UNREGISTER]


def test_undo_continues_after_a_failed_step_and_keeps_the_error():
    away = ClusterUnreachableError("away")
    connection = Connection(
        current="1", link_model_to_app=ExistsError("taken"), set_model_version=away, stop_versioned_models=away
    )
    with pytest.raises(ExistsError, match="taken"):
        make_endpoint(connection)
    assert connection.changes()[-1] == UNREGISTER


def test_taken_application_name_is_left_alone():
    connection = Connection(register_application=ExistsError("taken"))
    with pytest.raises(ExistsError):
        make_endpoint(connection)
    assert connection.changes() == [REGISTER]


def test_endpoint_with_traffic_set_is_left_alone():
    """The next version would become current, and get no queries."""
    target = TargetInfo(target="digits:1", model="digits:1", weight=1.0, share=1.0)
    connection = Connection(current="1", application=application("digits", traffic=[target]))
    with pytest.raises(ExistsError, match=r"traffic set: digits:1 100 %.*conn.set_traffic\('digits', ...\)"):
        make_endpoint(connection, version=None, may_exist=True)
    assert connection.changes() == []


@pytest.mark.parametrize("linked_models", [("digits",), ()])
def test_endpoint_that_exists_gets_the_next_version(linked_models):
    connection = Connection(current="1", application=application(*linked_models))
    make_endpoint(connection, connection.calls.append, version=None, may_exist=True)
    assert connection.changes() == ["2"] if linked_models else ["2", LINK]


def test_failed_deploy_to_an_endpoint_keeps_the_application():
    connection = Connection(current="1", application=application("digits"))
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection, fail, version=None, may_exist=True)
    assert connection.changes() == [("set_model_version", "digits", "1"), STOP]


@pytest.mark.parametrize(
    ("existing", "words"),
    [
        (application("digits", slo_micros=5), "slo_micros=5, not 1000"),
        (application("digits", default_output="-1"), "default_output=-1, not 0"),
        (application(input_type=InputType.STRINGS), "input_type=strings, not doubles"),
        (application("other"), "linked to model 'other'"),
    ],
)
def test_endpoint_with_other_settings_is_left_alone(existing, words):
    connection = Connection(application=existing)
    with pytest.raises(ExistsError, match=words):
        make_endpoint(connection, version=None, may_exist=True)
    assert connection.changes() == []


def test_settings_left_out_are_those_of_the_endpoint():
    connection = Connection(application=application("digits", slo_micros=5, default_output="-1"))
    make_endpoint(connection, connection.calls.append, may_exist=True, default_output=None, slo_micros=None)
    assert connection.changes() == ["2"]


def test_settings_left_out_of_a_new_endpoint_have_defaults():
    connection = Connection()
    make_endpoint(connection, default_output=None, slo_micros=None)
    assert connection.changes()[0] == ("register_application", "digits", "doubles", "null", 1_000_000)


def test_number_that_another_caller_takes_is_followed_by_more():
    def deploy(version):
        connection.calls.append(version)
        if version == "2":
            raise ExistsError("taken")

    connection = Connection(is_registered=False)
    make_endpoint(connection, deploy, version=None)
    assert connection.changes() == [REGISTER, "2", "3", LINK]


@pytest.mark.parametrize(("version", "failure"), [(2, ExistsError("taken")), (None, ClaimLostError("digits:2"))])
def test_chosen_or_stopped_version_is_not_tried_again(version, failure):
    def refuse(version):
        connection.calls.append(version)
        raise failure

    connection = Connection(is_registered=False)
    with pytest.raises(type(failure)):
        make_endpoint(connection, refuse, version=version)
    assert connection.changes() == [REGISTER, "2", UNREGISTER]


def test_endpoint_is_checked_before_anything_slow_starts():
    connection = Connection()
    with pytest.raises(InvalidRequestError, match="slo_micros"):
        check_endpoint(connection, "digits", None, "doubles", slo_micros=0)
    with pytest.raises(InvalidNameError, match="the frontends use this path"):
        check_endpoint(connection, "docs", None, "doubles")
    with pytest.raises(InvalidRequestError, match="labels"):
        check_endpoint(connection, "digits", None, "doubles", labels="a")


def deploy_thing(clipper_conn, name, version, input_type, thing, base_image="default", labels=None, *, colour="red"):
    clipper_conn.deploy(name, version, input_type, thing, base_image, labels, colour)


def test_endpoint_passes_each_option_to_the_deploy():
    connection = Connection()
    create_endpoint = endpoint(deploy_thing, example=">>> 1")
    create_endpoint(connection, "digits", "doubles", "a thing", "0", 2, 1000, ["a label"], colour="blue")
    deploy = ("deploy", "digits", "2", "doubles", "a thing", "default", ["a label"], "blue")
    assert connection.changes() == [REGISTER, deploy, LINK]


def test_endpoint_rejects_an_option_the_deploy_does_not_have():
    with pytest.raises(TypeError, match="shape"):
        endpoint(deploy_thing, example=">>> 1")(Connection(), "digits", "doubles", "a thing", shape="round")


@pytest.mark.parametrize(
    ("deploy", "create_endpoint"),
    [
        (python.deploy_python_closure, python.create_endpoint),
        (pyspark.deploy_pyspark_model, pyspark.create_endpoint),
        (r.deploy_r_model, r.create_endpoint),
        (huggingface.deploy_huggingface_model, huggingface.create_endpoint),
        (keras.deploy_keras_model, keras.create_endpoint),
        (lightgbm.deploy_lightgbm_model, lightgbm.create_endpoint),
        (mlflow.deploy_mlflow_model, mlflow.create_endpoint),
        (onnx.deploy_onnx_model, onnx.create_endpoint),
        (pytorch.deploy_pytorch_model, pytorch.create_endpoint),
        (tensorflow.deploy_tensorflow_model, tensorflow.create_endpoint),
        (xgboost.deploy_xgboost_model, xgboost.create_endpoint),
        (deploy_thing, endpoint(deploy_thing, example=">>> 1")),
    ],
    ids=lambda value: value.__module__,
)
def test_endpoint_shows_all_options_in_signature_and_help(deploy, create_endpoint):
    own = {"default_output": "None", "version": None, "slo_micros": 3000000}
    shown = inspect.signature(create_endpoint).parameters
    expected = {**inspect.signature(deploy).parameters}
    assert set(shown) == {*expected, *own}
    for name, parameter in shown.items():
        if name in own:
            assert parameter.default == own[name]
        else:
            assert parameter == expected[name]
    manual = inspect.getdoc(create_endpoint)
    assert all(name in manual for name in shown)
    assert f":func:`{deploy.__name__}`" in manual
    assert (create_endpoint.__name__, create_endpoint.__module__) == ("create_endpoint", deploy.__module__)
