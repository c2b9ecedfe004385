"""What a function answers in the notebook: all samples together and each alone, with texts in quotes."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.closures.sample_outputs import answer_samples, make_samples, write_samples
from clipper_nb.cluster.new_version import make_new_version
from clipper_nb.errors import ParityError, PredictionError
from clipper_nb.protocol.samples import parse_samples

NET = make_new_version("net", 1, "strings")
AS_TEXT = make_new_version("net", 1, "strings", text_outputs="text")


def test_samples_have_what_is_sent_and_what_it_is(tmp_path: Path) -> None:
    func = {"a": "1E5", "b": 1.5, "c": "label"}
    samples = answer_samples(NET, lambda inputs: [func[x] for x in inputs], ["a", "b", "c"])
    assert samples.outputs == ["1E5", "1.5", "label"]
    assert samples.typed_outputs == ['"1E5"', "1.5", '"label"']
    write_samples(samples, tmp_path)
    assert parse_samples((tmp_path / "samples.json").read_text()) == samples


@pytest.mark.parametrize(
    ("output", "read"), [("1E5", "100000.0"), ("2.10", "2.1"), ("null", "null"), ("true", "true"), (b"7", "7")]
)
def test_text_that_clients_get_as_something_else_is_told(
    output: Any, read: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "clipper_nb.progress"):
        make_samples(AS_TEXT, ["a"], lambda _: [output])
        assert not caplog.records
        make_samples(NET, ["a"], lambda _: [output])
    (record,) = caplog.records
    assert f"clients get {read}, since" in record.getMessage()
    assert 'text_outputs="text"' in record.getMessage()


@pytest.mark.parametrize("output", ["label", "02139", '{"label": "a"}', "[1]", 3, None, 1.5, {"a": "1E5"}])
def test_other_outputs_are_not_told(output: Any, caplog: pytest.LogCaptureFixture) -> None:
    """JSON text of an object is how functions of Clipper return one."""
    with caplog.at_level(logging.WARNING, "clipper_nb.progress"):
        make_samples(NET, ["a"], lambda _: [output])
    assert not caplog.records


@pytest.mark.parametrize(
    ("func", "words"),
    [
        (lambda inputs: [sorted(inputs).index(x) for x in inputs], "depends on its neighbours"),
        (lambda inputs: [random.random() for _ in inputs], "depends on chance"),
    ],
)
def test_unsteady_function_is_refused_by_name(func: Any, words: str) -> None:
    with pytest.raises(ParityError, match=f"^The function of net:1 gives an answer that {words}") as raised:
        answer_samples(NET, func, ["a", "b"])
    assert raised.value.model_id == "net:1"
    assert "packages" not in str(raised.value)


def test_function_that_raises_on_a_sample_alone_is_reported() -> None:
    def spread(inputs: list[Any]) -> list[float]:
        return [1 / (len(inputs) - 1) for _ in inputs]

    with pytest.raises(PredictionError, match="raises on sample_inputs in the notebook: ZeroDivisionError"):
        answer_samples(NET, spread, ["a", "b"])
