"""What a deploy does in the notebook beside the start of the replicas, or before the build of a final image."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import InvalidInputError, PredictionError
from clipper_nb.testing import RecordingContainerManager, RecordingImageBuilder
from clipper_nb.version import __version__
from tests.support.management_frontend import ManagementFrontend, client_of, replicas_of

CALLS: list[str] = []
"""What happened, in order."""


@pytest.fixture(autouse=True)
def _module_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The function of the deploys is a copy, which finds the list in this module: importing the tests would take all
    of them along."""
    (tmp_path / "my_calls.py").write_text("CALLS = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("my_calls").CALLS = CALLS  # type: ignore[attr-defined]
    yield
    del sys.modules["my_calls"]
    CALLS.clear()


class Builder(RecordingImageBuilder):
    def build(self, *args: Any, **kwargs: Any) -> str:
        CALLS.append("build")
        return super().build(*args, **kwargs)


class CompletingBuilder(Builder):
    can_complete = True

    def complete(self, image: str, files: Mapping[str, bytes]) -> None:
        CALLS.append("complete")
        self.files[image].update(files)


class Manager(RecordingContainerManager):
    def set_num_replicas(self, *args: Any, **kwargs: Any) -> None:
        CALLS.append("start")
        super().set_num_replicas(*args, **kwargs)


class Bench:
    def __init__(self, builder: RecordingImageBuilder) -> None:
        self.builder, self.manager = builder, Manager()
        frontend = ManagementFrontend(replicas=replicas_of(self.manager))
        frontend.answers["get_deploy_state"] = {
            "release": __version__, "query_frontend_releases": [__version__], "is_registered": False,
            "current_version": None, "has_application": False, "linked_input_types": {},
        }  # fmt: skip
        self.frontend = frontend
        self.conn = ClipperConnection(self.manager, builder)
        self.conn.connected, self.conn._management = True, client_of(frontend)

    def deploy(self, sample_inputs: Any, error: Exception | None = None) -> None:
        def predict(inputs: list[Any]) -> list[float]:
            from my_calls import CALLS  # type: ignore[import-not-found]

            if len(inputs) == 2:
                CALLS.append("answer")
            if error is not None:
                raise error
            return [float(x.sum()) for x in inputs]

        deploy_python_closure(self.conn, "net", 1, "doubles", predict, sample_inputs=sample_inputs)

    def samples(self) -> Any:
        [files] = self.builder.files.values()
        assert json.loads(files["metadata.json"])["samples"]
        return json.loads(files["samples.json"])["outputs"]


@pytest.mark.parametrize(
    ("builder", "expected"),
    [(CompletingBuilder, ["build", "start", "answer", "complete"]), (Builder, ["answer", "build", "start"])],
)
def test_samples_are_answered_beside_the_start_if_they_can(builder: type[Builder], expected: list[str]) -> None:
    bench = Bench(builder())
    bench.deploy([[1.0, 2.0], [3.0]])
    assert expected == CALLS
    assert bench.samples() == ["3.0", "3.0"]
    [registered] = bench.frontend.requests("add_model")
    assert registered["provenance"]["num_samples"] == 2


@pytest.mark.parametrize("builder", [CompletingBuilder, Builder])
def test_samples_that_raise_leave_nothing(builder: type[Builder]) -> None:
    bench = Bench(builder())
    with pytest.raises(PredictionError, match="ValueError: too small"):
        bench.deploy([[1.0, 2.0], [3.0]], ValueError("too small"))
    assert (bench.manager.replicas, bench.builder.files) == ([], {})
    assert bench.frontend.requests("add_model") == []


def test_samples_of_another_type_are_refused_before_the_build() -> None:
    bench = Bench(CompletingBuilder())
    with pytest.raises(InvalidInputError):
        bench.deploy([["text"]])
    with pytest.raises(InvalidInputError, match="has none"):
        bench.deploy([])
    assert CALLS == []


def test_deploy_without_samples_has_none() -> None:
    bench = Bench(CompletingBuilder())
    bench.deploy(None)
    [files] = bench.builder.files.values()
    assert "samples.json" not in files
    assert json.loads(files["metadata.json"])["samples"] is None
