"""All of an endpoint or nothing of it, whichever step fails."""

from __future__ import annotations

import pytest

from clipper_nb.deployers.endpoint import new_endpoint
from clipper_nb.errors import ClusterUnreachableError, ExistsError, ModelNotFoundError


class Connection:
    """Records calls; those named in *failures* raise."""

    def __init__(self, current=None, *, is_registered=True, **failures):
        self.calls = []
        self.current = current
        self.is_registered = is_registered
        self.failures = failures

    def __getattr__(self, method):
        def call(*arguments):
            self.calls.append((method, *arguments))
            if method in self.failures:
                raise self.failures[method]

        return call

    def get_app_info(self, name):
        return None

    def get_model_info(self, name, version):
        return {"model_version": version} if self.is_registered else None

    def get_current_model_version(self, name):
        if self.current is None:
            raise ModelNotFoundError(name)
        return self.current

    def changes(self):
        return [call for call in self.calls if not call[0].startswith("check_")]


REGISTER = ("register_application", "digits", "doubles", "0", 1000)
LINK = ("link_model_to_app", "digits", "digits")
STOP = ("stop_versioned_models", {"digits": ["2"]})
UNREGISTER = ("unregister_application", "digits")


def make_endpoint(connection, deploy=lambda: None):
    with new_endpoint(connection, "digits", 2, "doubles", "0", 1000):
        deploy()


def fail():
    raise KeyboardInterrupt


def test_application_is_registered_before_and_linked_after_the_deploy():
    connection = Connection()
    make_endpoint(connection, lambda: connection.calls.append("deploy"))
    assert connection.changes() == [REGISTER, "deploy", LINK]


def test_failed_deploy_takes_the_application_along():
    connection = Connection(current="1", is_registered=False)
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection, fail)
    assert connection.changes() == [REGISTER, UNREGISTER]


def test_deploy_that_was_interrupted_after_its_last_step_is_undone():
    connection = Connection(current="1", is_registered=True)
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection, fail)
    assert connection.changes() == [REGISTER, ("set_model_version", "digits", "1"), STOP, UNREGISTER]


def test_version_that_another_caller_deployed_meanwhile_stays():
    def refuse():
        raise ExistsError("taken")

    connection = Connection(is_registered=True)
    with pytest.raises(ExistsError):
        make_endpoint(connection, refuse)
    assert connection.changes() == [REGISTER, UNREGISTER]


def test_interrupt_while_the_application_is_registered_leaves_none():
    connection = Connection(register_application=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        make_endpoint(connection)
    assert connection.changes() == [REGISTER, UNREGISTER]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ExistsError("taken")])
def test_failed_link_sets_the_version_back_before_it_stops_the_new_one(failure):
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


def test_step_that_cannot_be_undone_keeps_no_other_and_hides_nothing():
    away = ClusterUnreachableError("away")
    connection = Connection(
        current="1", link_model_to_app=ExistsError("taken"), set_model_version=away, stop_versioned_models=away
    )
    with pytest.raises(ExistsError, match="taken"):
        make_endpoint(connection)
    assert connection.changes()[-1] == UNREGISTER


def test_name_that_is_taken_stays_what_it_is():
    connection = Connection(register_application=ExistsError("taken"))
    with pytest.raises(ExistsError):
        make_endpoint(connection)
    assert connection.changes() == [REGISTER]
