"""Which packages an image gets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.images.captured_packages import choose_packages

FOUND = ["numpy==2.1.0", "scikit-learn==1.6.0"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], ["scikit-learn==1.6.0"]),
        (["scikit_learn==1.5"], ["scikit_learn==1.5"]),
        (["Scikit-Learn[extra] >= 1"], ["Scikit-Learn[extra] >= 1"]),
        (["pandas"], ["pandas", "scikit-learn==1.6.0"]),
        (["/home/me/scikit_learn-1.4-py3-none-any.whl"], ["/home/me/scikit_learn-1.4-py3-none-any.whl"]),
        (["scikit-learn-cpu==1.6.0"], ["scikit-learn-cpu==1.6.0"]),
        (["git+https://host/repo.git"], ["git+https://host/repo.git", "scikit-learn==1.6.0"]),
    ],
)
def test_requested_packages_replace_captured_ones(asked: Sequence[str], expected: list[str]) -> None:
    assert choose_packages(asked, FOUND, {}, in_base=["numpy==2.1.0", "tornado==6.5"]) == expected


def test_another_version_than_that_of_the_base_is_installed() -> None:
    assert choose_packages([], ["numpy==2.1.0"], {}, in_base=["numpy==2.0.0"]) == ["numpy==2.1.0"]


def test_uninstallable_package_is_refused_unless_user_gives_it() -> None:
    unpinnable = {"homemade": "installed from git, ssh://host/repo"}
    with pytest.raises(
        InvalidRequestError, match=r"'homemade' \(installed from git, ssh://host/repo\).*pkgs_to_install"
    ):
        choose_packages([], FOUND, unpinnable, in_base=[])
    assert choose_packages(["./homemade"], [], unpinnable, in_base=[]) == ["./homemade"]
    assert choose_packages(["homemade-gpu"], [], unpinnable, in_base=[]) == ["homemade-gpu"]
