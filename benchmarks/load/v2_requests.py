"""The same tensors in each form that servers take."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Request:
    """One form of a tensor on the wire."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def binary_tensor(model: str, datatype: str, array: np.ndarray) -> Request:
    """Return a request of V2 with a binary tensor."""
    raw = array.tobytes()
    tensor = _tensor(array.shape, datatype) | {"parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return Request(f"/v2/models/{model}/infer", head + raw, {HEADER_LENGTH: str(len(head))})


def json_tensor(model: str, datatype: str, array: np.ndarray) -> Request:
    """Return a request of V2 with a list of numbers."""
    tensor = _tensor(array.shape, datatype) | {"data": array.ravel().tolist()}
    return Request(f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}).encode())


def base64_tensor(model: str, array: np.ndarray) -> Request:
    """Return a request of V2 as MLServer's Base64Codec writes it."""
    data = [base64.b64encode(array.tobytes()).decode()]
    tensor = _tensor((1, 1), "BYTES") | {"parameters": {"content_type": "base64"}, "data": data}
    return Request(f"/v2/models/{model}/infer", json.dumps({"inputs": [tensor]}).encode())


def base64_input(application: str, array: np.ndarray) -> Request:
    """Return a predict request for an application of bytes."""
    return _predict(application, base64.b64encode(array.tobytes()).decode())


def json_input(application: str, array: np.ndarray) -> Request:
    """Return a predict request for an application of doubles."""
    return _predict(application, array.tolist())


def _tensor(shape: tuple[int, ...], datatype: str) -> dict[str, Any]:
    return {"name": "x", "shape": list(shape), "datatype": datatype}


def _predict(application: str, value: Any) -> Request:
    return Request(f"/{application}/predict", json.dumps({"input": value}).encode())
