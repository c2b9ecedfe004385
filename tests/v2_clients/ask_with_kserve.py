"""Asks a query frontend with KServe's ``InferenceRESTClient``; prints what it got as JSON.

python ask_with_kserve.py ADDRESS TOKEN
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

URL = f"http://{sys.argv[1]}"
HEADERS = {"Authorization": f"Bearer {sys.argv[2]}"}


def request(application: str, values: Any, datatype: str, *, binary: bool, **options: Any) -> InferRequest:
    """Return a request with one tensor."""
    array = np.array(values)
    tensor = InferInput("input", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(application, [tensor], **options)


async def main() -> None:
    """Ask and print."""
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))

    async def infer(application: str, *arguments: Any, **options: Any) -> Any:
        asked = request(application, *arguments, **options)
        reply = await client.infer(URL, asked, headers=dict(HEADERS), model_name=application)
        return reply.outputs[0].as_numpy().tolist()

    async def failure(application: str, *arguments: Any, **options: Any) -> str:
        try:
            await infer(application, *arguments, **options)
        except Exception as exc:
            return f"{type(exc).__name__}: {exc}"
        return "no failure"

    rows = np.array([[1.0, 2.0], [3.0, 4.5]])
    as_binary = [RequestedOutput("output", {"binary_data": True})]
    texts = np.array([b"a", "é".encode()], np.object_)
    told = {
        "live": await client.is_server_live(URL, headers=HEADERS),
        "ready": await client.is_server_ready(URL, headers=HEADERS),
        "model ready": await client.is_model_ready(URL, "sums", headers=HEADERS),
        "binary": await infer("sums", rows, "FP64", binary=True, request_outputs=as_binary),
        "JSON": await infer("sums", rows, "FP64", binary=False),
        "FP16": await infer("sums", rows.astype(np.float16), "FP16", binary=True),
        "texts": await infer("caps", texts, "BYTES", binary=True),
        "unknown": await failure("unknown", rows, "FP64", binary=True),
        "wrong": await failure("sums", rows > 1, "BOOL", binary=False),
    }
    await client.close()
    print(json.dumps(told, default=bytes.decode))


if __name__ == "__main__":
    asyncio.run(main())
