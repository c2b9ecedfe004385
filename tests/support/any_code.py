"""A model that runs any code: what model code can see and do is told by model code itself."""

from __future__ import annotations

from typing import Any


def run_code(inputs: list[str]) -> list[Any]:
    """Be the worst model there is: run what it is sent, and return what that calls ``result``."""
    outputs = []
    for code in inputs:
        names: dict[str, Any] = {}
        exec(code, names)
        outputs.append(names["result"])
    return outputs
