"""Tests of the environment variables that travel: which may, and that no error or ``repr`` has a value."""

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.environment_variables import EnvironmentVariables, check_variables, choose_variables
from clipper_nb.protocol.records import ModelVersion
from clipper_nb.protocol.rest import AddModel

SECRET = "a value that nobody may see"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"CLIPPER_MODEL_NAME": SECRET}, "CLIPPER_MODEL_NAME is reserved"),
        ({"PATH": SECRET}, "PATH is reserved"),
        ({"A=B": SECRET}, "'A=B'"),
        ({"": SECRET}, "''"),
        ({1: SECRET}, "not 1"),
        ({"A": 1}, "it is a int"),
        ({"A": f"{SECRET}\0"}, "null characters"),
        ({"A": f"{SECRET}\udc80"}, "Unicode"),
        ({"A": SECRET * 2000}, "files="),
    ],
)
def test_what_a_replica_cannot_have_is_refused(values, words):
    with pytest.raises(InvalidRequestError) as raised:
        check_variables(values)
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


def test_read_names_travel_unless_they_describe_the_machine():
    notebook = {"T": "0.9", "HOME": "/root", "PATH": "/bin", "CLIPPER_HOME": "/tmp", "OTHER": "x"}

    assert choose_variables(["T", "HOME", "PATH", "CLIPPER_HOME", "MISSING", "A=B"], notebook) == {"T": "0.9"}


def test_no_repr_has_a_value():
    variables = EnvironmentVariables({"T": SECRET})

    request = AddModel("net", "1", "doubles", environment_variables=variables)
    version = ModelVersion("net", "1", None, "", (), -1, 0.0, environment_variables=variables)

    assert SECRET not in f"{variables!r}{request!r}{version!r}"
    assert repr(variables) == "EnvironmentVariables(T)"
