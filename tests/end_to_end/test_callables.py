"""What a function may be, on a cluster: coroutines are awaited, and what takes no list is refused."""

from __future__ import annotations

import asyncio
import enum
import itertools
import typing
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection, IncompatibleEnvironmentError, InvalidRequestError, PredictionError
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.model_folder import PythonMetadata
from tests.support.packages import write_wheel

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 10_000_000


def test_coroutine_function_is_awaited_in_one_event_loop(shared: ClipperConnection) -> None:
    total = typing.NewType("total", float)

    class Size(enum.Enum):
        SMALL = (0, 10)
        LITTLE = SMALL
        LARGE = (10, 100)

        def __init__(self, low: int, high: int) -> None:
            self.high = high

    class Model:
        loop: Any = None

        async def __call__(self, xs: list[Any]) -> list[Any]:
            self.loop = self.loop or asyncio.get_running_loop()
            await asyncio.sleep(0)
            is_same = self.loop is asyncio.get_running_loop()
            return [[total(x.sum()), is_same, Size["LITTLE"].name, Size.LARGE.high] for x in xs]

    samples = [[1.0], [2.0, 3.0]]
    expected = [[1.0, True, "SMALL", 100], [5.0, True, "SMALL", 100]]
    assert shared.test_predict_function({"input_batch": samples}, Model(), "doubles") == expected
    create_endpoint(shared, "awaited", "doubles", Model(), slo_micros=SLO_MICROS, sample_inputs=samples)
    assert shared.predict("awaited", [2.0, 3.0]).output == expected[1]
    assert [found.output for found in shared.predict_batch("awaited", samples)] == expected


def test_awaitables_of_a_batch_are_awaited_together(shared: ClipperConnection) -> None:
    async def halve(x: Any) -> float:
        await asyncio.sleep(0)
        if x.sum() < 0:
            raise ValueError("below zero")
        return float(x.sum()) / 2

    create_endpoint(shared, "together", "doubles", lambda xs: [halve(x) for x in xs], slo_micros=SLO_MICROS)
    assert [found.output for found in shared.predict_batch("together", [[1.0], [2.0, 4.0]])] == [0.5, 3.0]
    failed = shared.predict("together", [-1.0])
    assert failed.reason == "model_error"
    assert "ValueError: below zero" in str(failed.explanation)
    assert shared.predict("together", [8.0]).output == 4.0


def test_generator_function_yields_one_output_per_input(shared: ClipperConnection) -> None:
    """In the notebook, with samples, and in replicas, where an input on which it raises fails alone."""

    def halves(xs: list[Any]) -> typing.Iterator[dict[str, float]]:
        for x in xs:
            if x.sum() < 0:
                raise ValueError("below zero")
            yield {"half": float(x.sum()) / 2}

    samples = [[1.0], [2.0, 4.0]]
    expected = [{"half": 0.5}, {"half": 3.0}]
    assert shared.test_predict_function({"input_batch": samples}, halves, "doubles") == expected
    create_endpoint(shared, "yielded", "doubles", halves, slo_micros=SLO_MICROS, sample_inputs=samples)
    assert [found.output for found in shared.predict_batch("yielded", samples)] == expected
    first, bad, last = shared.predict_batch("yielded", [[2.0], [-1.0], [8.0]])
    assert (first.output, bad.reason, last.output) == ({"half": 1.0}, "model_error", {"half": 4.0})
    assert "ValueError: below zero" in str(bad.explanation)

    def endless(xs: list[Any]) -> typing.Iterator[float]:
        return itertools.repeat(0.5)

    for call in (
        lambda: shared.test_predict_function({"input_batch": samples}, endless, "doubles"),
        lambda: deploy_python_closure(shared, "yielded", 2, "doubles", endless, sample_inputs=samples),
    ):
        with pytest.raises(PredictionError, match="3 outputs for 2 inputs"):
            call()


def test_what_cannot_take_a_list_is_refused_and_leaves_nothing(shared: ClipperConnection) -> None:
    class Model:
        def __init__(self, xs: Any) -> None:
            pass

        async def stream(self, xs: Any) -> typing.AsyncIterator[Any]:
            yield xs

    refused: list[tuple[Any, str]] = [
        (Model, "not the class 'Model'"),
        (lambda: 1, "takes no arguments"),
        (lambda model, xs: xs, r"takes \(model, xs\)"),
        (Model([]).stream, "'stream' is an async generator"),
    ]
    for func, why in refused:
        with pytest.raises(InvalidRequestError, match=why):
            create_endpoint(shared, "refused", "doubles", func, slo_micros=SLO_MICROS)
        with pytest.raises(InvalidRequestError, match=why):
            deploy_python_closure(shared, "refused", 1, "doubles", func)
        with pytest.raises(InvalidRequestError, match=why):
            shared.test_predict_function({"input": [1.0]}, func, "doubles")
    assert "refused" not in shared.get_all_apps()
    assert "refused:1" not in shared.get_all_models()


def test_library_of_another_distribution_is_refused_by_replicas(shared: ClipperConnection, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "boosted_by_another_name")
    metadata = PythonMetadata(
        input_type="doubles", environment={"boosted": "3.2.0"}, modules={"boosted": "boosted_by_another_name.core"}
    )
    with bundle(metadata) as folder:
        (folder / "func.pkl").write_bytes(b"not to be read")
        with pytest.raises(IncompatibleEnvironmentError) as refused:
            shared.build_and_deploy_model("boosted", 1, "doubles", str(folder), pkgs_to_install=[str(wheel)])
    assert refused.value.conflicts == {"boosted": ("3.2.0", "1.0 (boosted_by_another_name)")}
    assert shared.get_model_info("boosted", 1) is None
