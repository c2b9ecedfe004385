"""What ``make test`` leaves to ``make test-all``, and in which of its runs each other test is."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.support.selection import is_left_out

CHECKOUT = Path(__file__).parents[1]
MARKERS = ("cluster", "docker", "kubernetes", "redis", "r", "spark", "browser", "slow", "serial")


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        ({"cluster", "docker"}, False),
        ({"cluster", "docker", "same_on_docker"}, True),
        ({"cluster", "docker", "same_on_docker", "also_on_docker"}, False),
        ({"cluster", "same_on_docker"}, False),
        ({"cluster", "r", "long"}, True),
        ({"kubernetes", "same_on_kubernetes"}, True),
        ({"kubernetes", "same_on_kubernetes", "same_on_docker"}, True),
        ({"kubernetes", "same_on_kubernetes", "also_on_kubernetes"}, False),
        ({"kubernetes", "same_on_docker"}, False),
        (set(), False),
    ],
)
def test_what_is_long_or_the_same_elsewhere_is_left_out(markers: set[str], expected: bool) -> None:
    assert is_left_out(markers) is expected


def runs_of_make() -> dict[str, Expression]:
    """Return the Makefile's expressions by which make test chooses tests for its runs."""
    lines = (CHECKOUT / "Makefile").read_text().splitlines()
    found = dict(match.groups() for line in lines if (match := re.fullmatch(r"([A-Z_]+) := (.*)", line)))
    names = ("UNITS", "WITH_ENGINE", "IN_BROWSER", "WITHOUT_ENGINE", "SERIAL", "IN_KUBERNETES")
    return {name: Expression.compile(found[name].replace("$(UNITS)", found["UNITS"])) for name in names}


@pytest.mark.parametrize("num_markers", range(len(MARKERS) + 1))
def test_every_test_is_in_one_run(num_markers: int) -> None:
    runs = runs_of_make()
    for markers in itertools.combinations(MARKERS, num_markers):
        chosen = [name for name, run in runs.items() if run.evaluate(lambda name, **_: name in markers)]  # noqa: B023
        assert len(chosen) == 1, (markers, chosen)


@pytest.mark.parametrize(
    ("marker", "folders"),
    [
        ("browser", {"browser"}),
        ("docker", {"container_managers", "end_to_end", "images", "test_wheel.py"}),
        ("serial", {"end_to_end"}),
        ("kubernetes", {"end_to_end"}),
    ],
)
def test_runs_of_one_folder_miss_no_test(marker: str, folders: set[str]) -> None:
    tests = CHECKOUT / "tests"
    marked = [path for path in tests.rglob("test_*.py") if f"pytest.mark.{marker}" in path.read_text()]
    assert {path.relative_to(tests).parts[0] for path in marked} == folders


def test_what_test_fast_leaves_out_is_there() -> None:
    (options,) = re.findall(r"^WITHOUT_CLUSTERS := (.*)$", (CHECKOUT / "Makefile").read_text(), re.M)
    for pattern in re.findall(r"--ignore(?:-glob)?='?([^ ']+)", options):
        assert list(CHECKOUT.glob(pattern)), pattern
