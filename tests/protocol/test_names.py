"""Names and versions are checked by one rule each."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidNameError
from clipper_nb.protocol import names
from tests.support.examples import examples

BAD_FOR_ALL = [
    None,
    1.5,
    True,
    [],
    {},
    b"name",
    "",
    " ",
    "a b",
    "a/b",
    "a:b",
    "a\n",
    "\na",
    "é",
    "a\0",
    "../a",
    ".",
    "-",
]


@pytest.mark.parametrize("name", ["a", "0", "digits-net", "a--b", "1-2", "a" * 63])
def test_model_name_is_returned_as_it_is(name):
    assert names.check_model_name(name) == name


@pytest.mark.parametrize("name", [*BAD_FOR_ALL, 1, "A", "a_b", "a.b", "-a", "a-", "a" * 64, "\uff41"])
def test_bad_model_name_is_refused(name):
    with pytest.raises(InvalidNameError) as info:
        names.check_model_name(name)
    assert info.value.what == "model name"
    assert info.value.value == name
    assert repr(name) in str(info.value)


@pytest.mark.parametrize(
    "version", ["1", "1.0.0", "2026-11-22_rc1", "_", "A", "3f2a9c", "v1", "1.", "1-", "01", "a" * 128]
)
def test_version_is_any_docker_tag(version):
    assert names.check_version(version) == version


@pytest.mark.parametrize(("version", "text"), [(0, "0"), (1, "1"), (20261122, "20261122")])
def test_whole_number_version_becomes_text(version, text):
    assert names.check_version(version) == text


@pytest.mark.parametrize("version", [*BAD_FOR_ALL, -1, ".1", "-1", "a" * 129, "1 ", "1+2", "\u0661"])
def test_bad_version_is_refused(version):
    with pytest.raises(InvalidNameError) as info:
        names.check_version(version)
    assert info.value.what == "version"


def test_float_version_is_refused_with_the_reason():
    with pytest.raises(
        InvalidNameError, match=re.escape("a float cannot distinguish 1.10 from 1.1; pass it as text: '1.1'")
    ):
        names.check_version(1.10)


@pytest.mark.parametrize("name", ["a", "A", "9", "digits.v2", "My_App-1", "a" * 63, "predict", "livez2"])
def test_application_name_is_one_segment_of_the_url(name):
    assert names.check_application_name(name) == name


@pytest.mark.parametrize("name", [*BAD_FOR_ALL, 1, "-a", "a-", "_a", "a.", ".a", "a" * 64, "a%20b", "a?b", "a#b"])
def test_bad_application_name_is_refused(name):
    with pytest.raises(InvalidNameError) as info:
        names.check_application_name(name)
    assert info.value.what == "application name"


@pytest.mark.parametrize("name", [*sorted(names.RESERVED_APPLICATION_NAMES), "Admin", "METRICS"])
def test_application_name_that_is_a_route_is_refused(name):
    with pytest.raises(InvalidNameError, match="the frontends use this path"):
        names.check_application_name(name)


@pytest.mark.parametrize("name", ["default-cluster", "A.b_c", "admin", "a" * 63])
def test_cluster_name_has_no_reserved_words(name):
    assert names.check_cluster_name(name) == name


@pytest.mark.parametrize("name", [*BAD_FOR_ALL, 1, "..", "a/../b", "~a", "a" * 64])
def test_bad_cluster_name_is_refused(name):
    """It becomes a folder's name, so it must not lead elsewhere."""
    with pytest.raises(InvalidNameError) as info:
        names.check_cluster_name(name)
    assert info.value.what == "cluster name"


@examples(200)
@given(st.text(max_size=80) | st.integers() | st.floats() | st.none() | st.booleans() | st.binary())
def test_checks_return_text_or_raise_invalid_name(value):
    for check in (
        names.check_model_name,
        names.check_version,
        names.check_application_name,
        names.check_cluster_name,
    ):
        try:
            checked = check(value)
        except InvalidNameError:
            continue
        assert isinstance(checked, str)
        assert checked.isascii()
        assert checked.isprintable()
        assert not set(checked) & set("/:% ")


@pytest.mark.parametrize("name", ["test_model", "a/b", "", " ", "metrics", "a" * 1000, "é"])
def test_name_that_refers_to_something_is_any_text(name):
    assert names.known_name("model name", name) == name
    assert names.known_version(name) == name


@pytest.mark.parametrize("name", [None, 1, b"a", "\ud800"])
def test_name_that_is_no_text_refers_to_nothing(name):
    with pytest.raises(InvalidNameError, match="is not a valid model name: use text"):
        names.known_name("model name", name)


@pytest.mark.parametrize(("version", "text"), [(-1, "-1"), (2, "2")])
def test_version_that_refers_to_something_is_any_whole_number(version, text):
    assert names.known_version(version) == text


@pytest.mark.parametrize("version", [1.0, True, None, "\ud800"])
def test_version_that_is_no_text_refers_to_nothing(version):
    with pytest.raises(InvalidNameError, match="is not a valid version"):
        names.known_version(version)


@pytest.mark.parametrize(
    ("taken", "number"),
    [
        ([], "1"),
        (["1", "2"], "3"),
        (["1", "7"], "8"),
        (["rc1", "1.0", "007", "0", "-3", "٣"], "1"),
        (["9" * 128, "2"], "3"),
    ],
)
def test_next_version_is_the_number_after_the_largest(taken, number):
    assert names.next_version(taken) == number
