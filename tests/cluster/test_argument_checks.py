"""Arguments that are not names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clipper_nb.cluster import argument_checks as checks
from clipper_nb.errors import InvalidRequestError

NO_NUMBERS = [None, "1", [1], True, False, 1j, b"1"]


@pytest.mark.parametrize("value", [0, 1, 5])
def test_whole_number_in_its_span_is_fine(value):
    checks.check_whole("n", value, 0, 5)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 1.0, math.nan, -1, 6])
def test_whole_number_out_of_its_span_is_named(value):
    with pytest.raises(InvalidRequestError) as info:
        checks.check_whole("num_replicas", value, 0, 5)
    assert str(info.value) == f"num_replicas must be a whole number, from 0 to 5; it is {value!r}."


def test_span_may_be_open():
    checks.check_whole("n", 10**30, 1)
    with pytest.raises(InvalidRequestError, match="at least 1; it is 0"):
        checks.check_whole("n", 0, 1)


@pytest.mark.parametrize("timeout_s", [0.001, 1, 60.0, 1e9])
def test_timeout_is_a_span(timeout_s):
    checks.check_timeout(timeout_s)


@pytest.mark.parametrize("timeout_s", [*NO_NUMBERS, 0, 0.0, -1, math.inf, -math.inf, math.nan])
def test_timeout_that_never_ends_or_has_ended_is_refused(timeout_s):
    with pytest.raises(InvalidRequestError, match="timeout_s must be a number of seconds above 0"):
        checks.check_timeout(timeout_s)


@pytest.mark.parametrize("value", [[], ["a"], ("a",), {"a"}, frozenset(), range(2)])
def test_list_may_be_any_collection(value):
    assert checks.check_list("names", value) is value


@pytest.mark.parametrize("value", ["abc", b"abc", None, 5, {"a": 1}, iter([])])
def test_text_is_refused_as_a_list_of_names(value):
    """One name for a list would be read character by character."""
    with pytest.raises(InvalidRequestError, match="model_names must be a list, not "):
        checks.check_list("model_names", value)


@pytest.mark.parametrize(("labels", "checked"), [(None, []), ([], []), (["a", ""], ["a", ""]), (("a",), ["a"])])
def test_labels_are_a_list_of_text(labels, checked):
    assert checks.check_labels(labels) == checked


@pytest.mark.parametrize("labels", ["a", [1], [None], [b"a"], {"a": 1}])
def test_labels_of_another_kind_are_refused(labels):
    with pytest.raises(InvalidRequestError, match="abels must be"):
        checks.check_labels(labels)


@pytest.mark.parametrize("packages", [["scikit-learn"], ["a>=1,<2", "b[extra]==1.0; python_version > '3'"]])
def test_packages_are_pip_requirements(packages):
    assert checks.check_packages(packages) == packages
    assert checks.check_packages(None) == []


@pytest.mark.parametrize("packages", ["numpy", [""], ["  "], [1], ["-r file"], [" --index-url=x"], {"numpy": 1}])
def test_packages_that_pip_would_misread_are_refused(packages):
    with pytest.raises(InvalidRequestError, match="pkgs_to_install must"):
        checks.check_packages(packages)


@pytest.mark.parametrize(
    "package",
    [
        "tool @ https://ada:s3cret@pypi.example/tool.whl",
        "git+https://s3cret@git.example/ada/tool",
        "x @ HTTP://a:s3cret@b/",
    ],
)
def test_requirement_with_a_password_is_refused_untold(package):
    with pytest.raises(InvalidRequestError, match="PIP_INDEX_URL") as caught:
        checks.check_packages(["numpy", package])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("package", ["tool @ git+ssh://git@git.example/ada/tool", "tool @ https://pypi.example/tool@1"])
def test_requirement_with_a_url_is_taken(package):
    assert checks.check_packages([package]) == [package]


def test_checked_lists_are_copies():
    """Who calls keeps a list of their own."""
    labels, packages = ["a"], ["b"]
    assert checks.check_labels(labels) is not labels
    assert checks.check_packages(packages) is not packages


@pytest.mark.parametrize(("key", "text"), [(None, None), ("ada", "ada"), ("", ""), (42, "42"), (np.int64(7), "7")])
def test_key_is_text_or_a_whole_number(key, text):
    assert checks.check_key(key) == text


@pytest.mark.parametrize("key", [1.5, True, b"ada", ["a"], "\ud800"])
def test_key_of_another_kind_is_refused(key):
    with pytest.raises(InvalidRequestError, match="key must be text or a whole number"):
        checks.check_key(key)
