"""Asks a query frontend with ``tritonclient[http]``, binary as by default and in JSON; prints what it got as JSON.

python ask_with_triton.py ADDRESS [TOKEN]
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton

# A copy for each call: the client adds the size of one call's JSON, and would send it with the next.
HEADERS = {"Authorization": f"Bearer {sys.argv[2]}"} if len(sys.argv) > 2 else {}
DATATYPES = {
    "FP64": np.float64, "FP32": np.float32, "FP16": np.float16, "INT64": np.int64, "INT32": np.int32, "UINT8": np.uint8,
}  # fmt: skip


def tensor(values: Any, datatype: str, *, binary: bool = True) -> triton.InferInput:
    """Return an input."""
    array = np.array(values, DATATYPES.get(datatype, np.object_))
    found = triton.InferInput("input", list(array.shape), datatype)
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def main() -> None:
    """Ask and print."""
    client = triton.InferenceServerClient(sys.argv[1])

    def infer(application: str, *inputs: triton.InferInput, **options: Any) -> triton.InferResult:
        return client.infer(application, list(inputs), headers=dict(HEADERS), **options)

    def failure(*arguments: Any, **options: Any) -> list[str]:
        try:
            infer(*arguments, **options)
        except triton.InferenceServerException as exc:
            return [exc.status(), exc.message()]
        return ["no failure"]

    rows = [[1.0, 2.0], [3.0, 4.5]]
    two = [triton.InferRequestedOutput("output", binary_data=False), triton.InferRequestedOutput("default")]
    later = client.async_infer("sums", [tensor(rows, "FP64")], headers=dict(HEADERS))
    told: dict[str, Any] = {
        "live": client.is_server_live(headers=dict(HEADERS)),
        "ready": client.is_server_ready(headers=dict(HEADERS)),
        "models": [
            client.is_model_ready(name, version, headers=dict(HEADERS))
            for name, version in (("sums", ""), ("sums", "1"), ("sums", "9"), ("lonely", ""), ("unknown", ""))
        ],
        "extensions": client.get_server_metadata(headers=dict(HEADERS))["extensions"],
        "index": [[row["name"], row["state"]] for row in client.get_model_repository_index(headers=dict(HEADERS))],
        "sums": {
            datatype: infer("sums", tensor(rows, datatype)).as_numpy("output").tolist()
            for datatype in ("FP64", "FP32", "FP16", "INT64", "UINT8")
        },
        "json": infer("sums", tensor(rows, "FP32", binary=False), outputs=two).as_numpy("output").tolist(),
        "default": infer("sums", tensor(rows, "FP64"), outputs=two).as_numpy("default").tolist(),
        "bytes": [text.decode() for text in infer("caps", tensor(["a", "é"], "BYTES")).as_numpy("output")],
        "images": infer("sizes", tensor(np.zeros((2, 4, 4, 3)), "UINT8")).as_numpy("output").tolist(),
        "response": infer("sums", tensor(rows, "FP64"), request_id="mine", model_version="1").get_response(),
        "async": later.get_result().as_numpy("output").tolist(),
        "bad row": infer("sums", tensor([[1.0], [-1.0]], "FP64")).as_numpy("default").tolist(),
        "failures": [
            failure("unknown", tensor(rows, "FP64")),
            failure("sums", tensor(rows, "FP64"), model_version="9"),
            failure("sums", tensor(["a"], "BYTES")),
            failure("sums", tensor(rows, "FP64"), tensor(rows, "FP64")),
            failure("lonely", tensor(["a"], "BYTES")),
            failure("sums", tensor(rows, "FP64"), request_compression_algorithm="gzip"),
        ],
        "metadata": client.get_model_metadata("sums", headers=dict(HEADERS)),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
