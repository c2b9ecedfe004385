"""Asks a query frontend with bodies of MLServer's codecs, and reads the replies with them; prints what it got as JSON.

python ask_with_mlserver.py ADDRESS
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pandas as pd
from mlserver.codecs import Base64Codec, NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec, StringRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse


def ask(application: str, request: InferenceRequest) -> InferenceResponse:
    """Send a request as its model writes it."""
    url = f"http://{sys.argv[1]}/v2/models/{application}/infer"
    body = request.model_dump_json().encode()
    headers = {"Authorization": f"Bearer {sys.argv[2]}"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as reply:
        return InferenceResponse.model_validate_json(reply.read())


def failure(application: str, request: InferenceRequest) -> list[Any]:
    """Return the status and the error of a request that is refused."""
    try:
        ask(application, request)
    except urllib.error.HTTPError as exc:
        return [exc.code, json.loads(exc.read())["error"]]
    return ["no failure"]


def main() -> None:
    """Ask and print."""
    rows = np.array([[1.0, 2.0], [3.0, 4.5]])
    numbers = ask("sums", NumpyRequestCodec.encode_request(rows))
    texts = ask("caps", StringRequestCodec.encode_request(["a", "é"]))
    images = InferenceRequest(inputs=[Base64Codec.encode_input("x", [b"\0\xff", b"abc"])])
    print(
        json.dumps(
            {
                "numbers": NumpyCodec.decode_output(numbers.outputs[0]).tolist(),
                "float32": NumpyCodec.decode_output(
                    ask("sums", NumpyRequestCodec.encode_request(rows.astype(np.float32))).outputs[0]
                ).tolist(),
                "one tensor": NumpyRequestCodec.decode_response(numbers).tolist(),
                "name": numbers.model_name,
                "texts": StringCodec.decode_output(texts.outputs[0]),
                "texts by their content type": StringRequestCodec.decode_response(texts),
                "bytes": NumpyCodec.decode_output(ask("sizes", images).outputs[0]).tolist(),
                "column": NumpyCodec.decode_output(
                    ask("sums", PandasCodec.encode_request(pd.DataFrame({"a": [1.0, 2.0]}))).outputs[0]
                ).tolist(),
                "columns": failure("sums", PandasCodec.encode_request(pd.DataFrame({"a": [1.0], "b": [2.0]}))),
            }
        )
    )


if __name__ == "__main__":
    main()
