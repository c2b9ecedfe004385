"""A replica answers its samples as the notebook did, together and alone, before it serves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_folder import PythonMetadata, write_metadata
from clipper_nb.protocol.samples import Samples, format_samples
from clipper_nb.protocol.steadiness import UnsteadyAnswer
from clipper_nb.runtime.model_container.parity import SampleMismatch, check_samples
from clipper_nb.runtime.model_container.python_model import PythonModel


def check(folder: Path, func: Callable[[list[Any]], Any], typed: Sequence[str], outputs: Sequence[str] = ()) -> None:
    samples = Samples(["a", "bb"][: len(typed or outputs)], outputs or typed, typed)
    (folder / "samples.json").write_text(format_samples(samples))
    check_samples(PythonModel(func), folder, InputType.STRINGS)


def test_model_without_samples_is_not_asked(tmp_path: Path) -> None:
    check_samples(PythonModel(lambda inputs: pytest.fail("it was asked")), tmp_path, InputType.STRINGS)


def test_replica_waits_for_samples_that_are_still_answered(tmp_path: Path) -> None:
    write_metadata(PythonMetadata(samples="a digest"), tmp_path)
    slept_s: list[float] = []

    def sleep(interval_s: float) -> None:
        slept_s.append(interval_s)
        if len(slept_s) == 8:
            (tmp_path / "samples.json").write_text(format_samples(Samples(["a"], ["2"], ["2"])))

    with pytest.raises(SampleMismatch, match="the notebook has"):
        check_samples(PythonModel(lambda inputs: [1 for _ in inputs]), tmp_path, InputType.STRINGS, sleep=sleep)
    assert slept_s[:3] == [0.001, 0.002, 0.004]
    assert max(slept_s) == 0.02


@pytest.mark.parametrize(
    ("typed", "output"),
    [('"0.3333333333333333"', "0.3333333333333333"), ("0.3333333333333333", 0.33333333), ('"NaN"\t', float("nan"))],
)
def test_equal_answers_pass(tmp_path: Path, typed: str, output: Any) -> None:
    check(tmp_path, lambda inputs: [output for _ in inputs], [typed, typed])


@pytest.mark.parametrize(
    ("typed", "output"),
    [('"0.3333333333333333"', "0.333333"), ('"1"', 1), ("1", "1"), ('"NaN"', float("nan")), ('"NaN"\t', "NaN")],
)
def test_texts_are_compared_as_texts(tmp_path: Path, typed: str, output: Any) -> None:
    with pytest.raises(SampleMismatch, match="sample 0: the notebook has"):
        check(tmp_path, lambda inputs: [output for _ in inputs], [typed, typed])


def test_samples_of_release_0_1_are_compared_as_they_were(tmp_path: Path) -> None:
    check(tmp_path, lambda inputs: ["0.33333333" for _ in inputs], (), ["0.3333333333", "0.3333333333"])


def test_answers_that_depend_on_neighbours_blame_no_packages(tmp_path: Path) -> None:
    with pytest.raises(UnsteadyAnswer, match="depends on its neighbours"):
        check(tmp_path, lambda inputs: [sorted(inputs).index(x) for x in inputs], ["0", "1"])


def test_answers_that_change_blame_no_packages(tmp_path: Path) -> None:
    count = itertools.count()
    with pytest.raises(UnsteadyAnswer, match="depends on chance"):
        check(tmp_path, lambda inputs: [next(count) for _ in inputs], ["0", "1"])


def test_same_answers_alone_and_then_others_depend_on_chance(tmp_path: Path) -> None:
    answers = iter([[1], [1], [2]])
    with pytest.raises(UnsteadyAnswer, match="depends on chance"):
        check(tmp_path, lambda inputs: next(answers), ["5"])
