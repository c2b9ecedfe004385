"""The same requests of the Open Inference Protocol, asked of a query frontend and of MLServer, as a table."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any


def _tensor(datatype: str, shape: list[int], data: Any, **parameters: Any) -> bytes:
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    if parameters:
        tensor["parameters"] = parameters
    return json.dumps({"id": "a", "inputs": [tensor]}).encode()


_WIDER = "MLServer's NumPy codec adds a dimension"
_CASES: tuple[tuple[str, str, str, str, bytes | None, str], ...] = (
    ("FP64 [2, 2], flat", "doubles", "POST", "{model}/infer", _tensor("FP64", [2, 2], [1, 2, 3, 4]), _WIDER),
    ("FP64 [2, 2], nested", "doubles", "POST", "{model}/infer", _tensor("FP64", [2, 2], [[1, 2], [3, 4]]), _WIDER),
    ("INT64 [2, 2]", "doubles", "POST", "{model}/infer", _tensor("INT64", [2, 2], [1, 2, 3, 4]), _WIDER),
    ("FP64 [0, 2]", "doubles", "POST", "{model}/infer", _tensor("FP64", [0, 2], []), _WIDER),
    ("UINT8 [1, 2, 2, 3]", "images", "POST", "{model}/infer", _tensor("UINT8", [1, 2, 2, 3], [1] * 12), _WIDER),
    (
        "BYTES [2], base64", "images", "POST", "{model}/infer",
        _tensor("BYTES", [2], ["YQ==", "YWJj"], content_type="base64"), _WIDER,
    ),
    (
        "FP64 [2, 2] with 3 elements", "doubles", "POST", "{model}/infer", _tensor("FP64", [2, 2], [1, 2, 3]),
        "MLServer leaves it to the model's code, which raises",
    ),
    (
        "FP64 [2, 2], nested as [1, 4]", "doubles", "POST", "{model}/infer", _tensor("FP64", [2, 2], [[1, 2, 3, 4]]),
        "MLServer reads the elements whatever the nesting is; here a nesting must be that of the shape",
    ),
    (
        "unknown datatype", "doubles", "POST", "{model}/infer", _tensor("FP65", [1, 1], [1]),
        "the protocol says 400 with `error`; MLServer's framework answers with `detail`",
    ),
    ("no inputs", "doubles", "POST", "{model}/infer", b"{}", "as above"),
    ("no JSON", "doubles", "POST", "{model}/infer", b"{", "as above"),
    ("unknown model", "doubles", "POST", "unknown/infer", _tensor("FP64", [1, 1], [1]), ""),
    (
        "unknown version", "doubles", "POST", "{model}/versions/9/infer", _tensor("FP64", [1, 1], [1]),
        "",
    ),
    ("ready", "doubles", "GET", "{model}/ready", None, "KServe's client needs a body, Triton's a status"),
    ("ready, unknown model", "doubles", "GET", "unknown/ready", None, ""),
    ("GET of infer", "doubles", "GET", "{model}/infer", None, "MLServer's framework answers with `detail`"),
)  # fmt: skip


def compare_answers(ours: str, mlserver: str) -> str:
    """Return a table of what both servers answer."""
    lines = [
        "",
        "## The same requests, asked of MLServer",
        "",
        "Both models return the length of each row or element. An answer is its status, and its output.",
        "",
        "| request | clipper_nb | MLServer | why they differ |",
        "|---|---|---|---|",
    ]
    for what, application, method, path, body, why in _CASES:
        one = _ask(ours, method, path.replace("{model}", application), body)
        other = _ask(mlserver, method, path.replace("{model}", "model"), body)
        lines.append(f"| {what} | {one} | {other} | {'' if one == other else why} |")
    return "\n".join(lines) + "\n"


def _ask(address: str, method: str, path: str, body: bytes | None) -> str:
    with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        connection.request(method, f"/v2/models/{path}", body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        content = reply.read()
    if not content:
        return f"{reply.status}, no body"
    try:
        parsed = json.loads(content)
    except ValueError:
        return f"{reply.status}, no JSON"
    outputs = parsed.get("outputs")
    if not outputs:
        return f"{reply.status}, {', '.join(f'`{key}`' for key in sorted(parsed))}"
    shape = outputs[0]["shape"]
    return f"{reply.status}, {outputs[0]['datatype']} {shape} {outputs[0]['data']}"
