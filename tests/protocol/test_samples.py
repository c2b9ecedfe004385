"""Where outputs of the notebook and of a replica differ."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.samples import Samples, find_difference, format_samples, parse_samples


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (["1.0"], ["1.0000000001"]),
        (["0"], ["1e-10"]),
        (["1"], ["1.0"]),
        (["NaN"], ["NaN"]),
        (["Infinity"], ["Infinity"]),
        (['{"b": [1, 2.0], "a": null}'], ['{"a": null, "b": [1.0, 2]}']),
        (["text"], ["text"]),
        (["[]", "true"], ["[]", "true"]),
    ],
)
def test_equal_outputs(expected: list[str], got: list[str]) -> None:
    assert find_difference(expected, got) is None


@pytest.mark.parametrize(
    ("expected", "got", "difference"),
    [
        (["1.0"], ["1.00001"], "sample 0: the notebook has 1.0, the replica 1.00001"),
        (["a", "b"], ["a", "c"], 'sample 1: the notebook has "b", the replica "c"'),
        (["1"], ["true"], "sample 0: the notebook has 1, the replica true"),
        (["null"], ["0"], "sample 0: the notebook has null, the replica 0"),
        (["NaN"], ["1.0"], "sample 0: the notebook has NaN, the replica 1.0"),
        (['{"p": [0.1, 0.9]}'], ['{"p": [0.1, 0.8]}'], "sample 0: the notebook has 0.9 at ['p'][1], the replica 0.8"),
        (["[1, 2]"], ["[1]"], "sample 0: the notebook has [1, 2], the replica [1]"),
        (['{"a": 1}'], ['{"b": 1}'], 'sample 0: the notebook has {"a": 1}, the replica {"b": 1}'),
    ],
)
def test_difference_is_reported_with_its_place(expected: list[str], got: list[str], difference: str) -> None:
    assert find_difference(expected, got) == difference


def test_samples_travel() -> None:
    samples = Samples([[1.0, 2.5], [3.0]], ["3.5", "naïve"])
    assert parse_samples(format_samples(samples)) == samples
