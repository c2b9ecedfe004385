"""Replies of the Open Inference Protocol (V2): to inference requests, about models, and errors. (pure)"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.v2_body import INPUT_NAME, OUTPUT_NAME, InferRequest
from clipper_nb.protocol.v2_outputs import JSON, TEXT, Row, Tensor, format_binary, format_json, make_tensors
from clipper_nb.protocol.v2_tensors import ACCEPTED, BYTES

EXTENSIONS: Final = ("binary_tensor_data",)
OutputForm = tuple[str, tuple[int, ...]]
"""Datatype and shape of outputs, without the batch."""
_CONTENT_TYPES: Final = {TEXT: b'"content_type":"str"', JSON: b'"content_type":"json"'}
_encode: Final = msgspec.json.Encoder().encode
_parse: Final[Callable[[str], Any]] = msgspec.json.Decoder().decode
_DOUBLE: Final = struct.Struct("<d").pack
_ONE_BINARY: Final = (
    b',"outputs":[{"name":"output","datatype":"FP64","shape":[1],"parameters":{"binary_data_size":8}}]}'
)
_ONE_IN_JSON: Final = b',"outputs":[{"name":"output","datatype":"FP64","shape":[1],"data":['
ONE_NUMBER: Final[OutputForm] = ("FP64", ())
"""The form of one FP64 for each input."""


class InferReplyBody:
    """Formats the reply to one request.

    Parameters
    ----------
    application_name : str
    version : str or None
        The one that answered; ``None`` if there was none to ask.
    request_id : str
    request : InferRequest
    rows : sequence of Row
        One for each input, in order.
    """

    def __init__(
        self, application_name: str, version: str | None, request_id: str, request: InferRequest, rows: Sequence[Row]
    ) -> None:
        self._head = format_head(application_name, version, request_id)
        self._request = request
        self._rows = rows
        self.output_form: OutputForm | None = None
        """That of the model's outputs; ``None`` if there is none."""
        self.json_size_bytes: int | None = None
        """Size of the JSON if binary tensors follow it, after the last step."""
        self.body = b""

    def steps(self) -> Iterator[bool]:
        """Yield ``True`` after each step until ``body`` is there.

        Raises
        ------
        DefaultMisfitError
            A default output is no element of the tensor that the others make.
        """
        wanted = self._request.outputs
        tensors = make_tensors(self._rows, wanted)
        output = tensors.get(OUTPUT_NAME)
        if output is not None and any(row.reason is None for row in self._rows):
            self.output_form = output.datatype, output.shape[1:]
        yield True
        outputs: list[bytes] = []
        binary: list[bytes] = []
        for name in [*wanted, *(name for name in tensors if name not in wanted)]:
            tensor = tensors[name]
            if wanted.get(name, self._request.is_binary):
                parts: list[bytes] = []
                for part in format_binary(tensor):
                    parts.append(part)
                    yield True
                outputs.append(_describe(name, tensor, sum(map(len, parts))))
                binary += parts
            else:
                data: list[bytes] = []
                for part in format_json(tensor):
                    data.append(part)
                    yield True
                outputs.append(b'%b,"data":[%b]}' % (_describe(name, tensor, None)[:-1], b",".join(data)))
        head = b'%b,"outputs":[%b]}' % (self._head, b",".join(outputs))
        is_binary = any(wanted.get(name, self._request.is_binary) for name in tensors)
        self.json_size_bytes = len(head) if is_binary else None
        self.body = b"".join([head, *binary])


def format_head(application_name: str, version: str | None, request_id: str) -> bytes:
    """Return the first part of a reply's JSON, before its outputs."""
    return format_names(application_name, version) + _encode(request_id)


def format_names(application_name: str, version: str | None) -> bytes:
    """Return the first part of a reply's JSON, before the id of its request."""
    version_part = b"" if version is None else b',"model_version":%b' % _encode(version)
    return b'{"model_name":%b%b,"id":' % (_encode(application_name), version_part)


def format_one_number(names: bytes, request_id: str, output: str, is_binary: bool) -> tuple[int | None, bytes] | None:
    """Return the size of the JSON, if a binary tensor follows, and the body of a reply with one finite FP64.

    *names* are those of ``format_names``. The same as ``InferReplyBody`` makes, for what most models answer to one
    input; ``None`` for any other output.
    """
    try:
        value = _parse(output)
    except (msgspec.DecodeError, RecursionError):
        return None
    if type(value) is not float:
        return None
    if is_binary:
        text = names + _encode(request_id) + _ONE_BINARY
        return len(text), text + _DOUBLE(value)
    return None, b"%b%b%b%b]}]}" % (names, _encode(request_id), _ONE_IN_JSON, _encode(value))


def _describe(name: str, tensor: Tensor, binary_size_bytes: int | None) -> bytes:
    described = b'{"name":"%b","datatype":"%b","shape":%b' % (
        name.encode(), tensor.datatype.encode(), _encode(tensor.shape),
    )  # fmt: skip
    parameters = [_CONTENT_TYPES[tensor.kind]] if tensor.kind in _CONTENT_TYPES else []
    if binary_size_bytes is not None:
        parameters.append(b'"binary_data_size":%d' % binary_size_bytes)
    return b'%b,"parameters":{%b}}' % (described, b",".join(parameters)) if parameters else described + b"}"


def describe_model(
    name: str, input_type: InputType, versions: Sequence[str], output_form: tuple[str, tuple[int, ...]] | None
) -> dict[str, Any]:
    """Return the metadata of an application; *output_form* is that of its last outputs, if any."""
    datatype = ACCEPTED[input_type][0]
    shape = [-1] if datatype == BYTES else [-1, -1]
    output_datatype, output_shape = (BYTES, ()) if output_form is None else output_form
    return {
        "name": name,
        "versions": list(versions),
        "platform": f"clipper_nb_{input_type}",
        "inputs": [{"name": INPUT_NAME, "datatype": datatype, "shape": shape}],
        "outputs": [{"name": OUTPUT_NAME, "datatype": output_datatype, "shape": [-1, *output_shape]}],
    }


def format_error(text: str) -> bytes:
    """Return the body of a failure."""
    return _encode({"error": text})
