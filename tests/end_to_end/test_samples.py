"""Samples: a replica whose answers differ from the notebook's never gets a query."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import packaging
import pytest

from clipper_nb import ClipperConnection, InvalidInputError, ParityError, PredictionError
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 20_000_000
X = np.array([[1.0, 2.0], [3.0, 4.5]])


def total(inputs: list[Any]) -> list[float]:
    return [float(x.sum()) for x in inputs]


def total_here_alone(inputs: list[Any]) -> list[dict[str, float]]:
    """Answer otherwise in a replica, as a function does whose packages differ there."""
    is_replica = "CLIPPER_MODEL_NAME" in os.environ
    return [{"total": float(x.sum()) + (0.5 if is_replica else 0.0)} for x in inputs]


def test_equal_answers_deploy_and_others_leave_all_as_it_was(shared: ClipperConnection) -> None:
    create_endpoint(shared, "sampled", "doubles", total, slo_micros=SLO_MICROS, sample_inputs=X)
    assert shared.predict("sampled", X[0]).output == 3.0
    with pytest.raises(
        ParityError, match=r"sample 0: the notebook has 3\.0 at \['total'\], the replica 3\.5"
    ) as raised:
        deploy_python_closure(shared, "sampled", 2, "doubles", total_here_alone, sample_inputs=X)
    assert "SampleMismatch" in str(raised.value.__cause__)
    assert shared.get_current_model_version("sampled") == "1"
    assert shared.get_all_models() == [model for model in shared.get_all_models() if model != "sampled:2"]
    assert [found for found in shared.cm.observe_replicas() if found.model == "sampled:2"] == []
    assert shared.predict("sampled", X[1]).output == 7.5
    # Without samples nobody can know.
    deploy_python_closure(shared, "sampled", 2, "doubles", total_here_alone)
    assert shared.predict("sampled", X[0]).output == {"total": 3.5}


@pytest.mark.parametrize(
    ("samples", "func", "error", "match"),
    [
        ([], total, InvalidInputError, "must be a list of inputs"),
        ("text", total, InvalidInputError, "must be a list of inputs"),
        ([["a"]], total, InvalidInputError, "doubles"),
        (X, lambda inputs: [1], PredictionError, "1 outputs for 2 inputs"),
        (X, lambda inputs: [1 / 0 for _ in inputs], PredictionError, "in the notebook: ZeroDivisionError"),
    ],
)
def test_bad_samples_are_refused_before_anything_is_built(
    shared: ClipperConnection, samples: Any, func: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        create_endpoint(shared, "refused", "doubles", func, slo_micros=SLO_MICROS, sample_inputs=samples)
    assert "refused" not in shared.get_all_apps()


@pytest.mark.parametrize(
    ("input_type", "value", "expected"), [("strings", "abc", "3"), ("bytes", b"\x01\x02", "2"), ("ints", [4], "1")]
)
def test_samples_of_every_type(shared: ClipperConnection, input_type: str, value: Any, expected: str) -> None:
    name = f"lengths-{input_type}"
    create_endpoint(
        shared, name, input_type, lambda inputs: [len(x) for x in inputs], slo_micros=SLO_MICROS, sample_inputs=[value]
    )
    assert str(shared.predict(name, value).output) == expected


def test_other_library_version_is_refused_with_its_answer(shared: ClipperConnection) -> None:
    def release(inputs: list) -> list:
        import packaging

        return [{"release": packaging.__version__} for _ in inputs]

    here = packaging.__version__
    with pytest.raises(ParityError, match=rf"sample 0: the notebook has .{re.escape(here)}. at \['release'\].*23\.2"):
        deploy_python_closure(
            shared, "released", 1, "doubles", release, pkgs_to_install=["packaging==23.2"], sample_inputs=[[1.0]]
        )
    assert "released:1" not in shared.get_all_models()
