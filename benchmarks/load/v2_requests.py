"""The same tensors in each form that servers take, with eight digits in them that differ in each request."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

import numpy as np

COUNTER = b"12345678"
HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Request:
    """One form of a tensor on the wire."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def counter_at(self) -> int:
        """Where the digits are."""
        return self.body.index(COUNTER)


def binary_tensor(model: str, datatype: str, array: np.ndarray) -> Request:
    """Return a request of V2 with a binary tensor, whose first bytes are the digits."""
    raw = COUNTER + array.tobytes()[len(COUNTER) :]
    parameters = {"binary_data_size": len(raw)}
    tensor = {"name": "x", "shape": list(array.shape), "datatype": datatype, "parameters": parameters}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return Request(f"/v2/models/{model}/infer", head + raw, {HEADER_LENGTH: str(len(head))})


def json_tensor(model: str, datatype: str, array: np.ndarray) -> Request:
    """Return a request of V2 with a list of numbers; the digits are its id."""
    tensor = {"name": "x", "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}
    body = json.dumps({"id": COUNTER.decode(), "inputs": [tensor]})
    return Request(f"/v2/models/{model}/infer", body.encode())


def base64_tensor(model: str, array: np.ndarray) -> Request:
    """Return a request of V2 as MLServer's Base64Codec writes it; the digits are its id."""
    data = [base64.b64encode(array.tobytes()).decode()]
    tensor = {"name": "x", "shape": [1, 1], "datatype": "BYTES", "parameters": {"content_type": "base64"}, "data": data}
    return Request(f"/v2/models/{model}/infer", json.dumps({"id": COUNTER.decode(), "inputs": [tensor]}).encode())


def base64_input(application: str, array: np.ndarray) -> Request:
    """Return a predict request for an application of bytes."""
    text = base64.b64encode(array.tobytes())
    return Request(f"/{application}/predict", b'{"input": "%b%b"}' % (COUNTER, text[len(COUNTER) :]))


def json_input(application: str, array: np.ndarray) -> Request:
    """Return a predict request for an application of doubles."""
    numbers = json.dumps(array.tolist()[1:])[1:]
    return Request(f"/{application}/predict", b'{"input": [%b.5, %b}' % (COUNTER, numbers.encode()))
