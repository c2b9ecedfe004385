"""How a server wants its requests and words its replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


class NotAPredictionError(Exception):
    """A reply with status 200 that is no prediction."""


@dataclass(frozen=True)
class Form:
    """One input's numbers go between *before* and *after*; ``{num_doubles}`` in them is filled in."""

    before: str
    after: str
    read_output: Callable[[Any], Any]
    """From the decoded body of a reply to the output in it."""
    answers_length: bool = False
    """Whether the right answer is the length of the request's body, as of a server that has no model."""

    def frame(self, num_doubles: int) -> tuple[str, str]:
        """Return what a body has before and after the numbers."""
        number = str(num_doubles)
        return self.before.replace("{num_doubles}", number), self.after.replace("{num_doubles}", number)

    def format_body(self, numbers: Sequence[float]) -> bytes:
        """Return the body of a request."""
        before, after = self.frame(len(numbers))
        return f"{before}{', '.join(map(repr, numbers))}{after}".encode()


def read_prediction(reply: dict[str, Any]) -> Any:
    """Return the output of a reply of ours."""
    if reply["default"]:
        raise NotAPredictionError(f"default output, {reply['default_reason']}")
    return reply["output"]


_INPUT = '{"input": [', "]}"
_ROWS = '{"inputs": [[', "]]}"
_TENSOR = '{"inputs": [{"name": "x", "shape": [1, {num_doubles}], "datatype": "FP64", "data": [', "]}]}"

CLIPPER = Form(*_INPUT, read_prediction)
LENGTH = Form(*_INPUT, lambda reply: reply["length"], answers_length=True)
OUTPUT = Form(*_INPUT, lambda reply: reply["output"])
OPEN_INFERENCE = Form(*_TENSOR, lambda reply: reply["outputs"][0]["data"][0])
BENTOML = Form(*_ROWS, lambda reply: reply[0])
MLFLOW = Form(*_ROWS, lambda reply: reply["predictions"][0])
