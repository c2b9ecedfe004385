"""What a user types as an input, and the input that is meant by it."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType

PLACEHOLDERS = {
    InputType.INTEGERS: "[1, 2, 3], or a variable of this notebook: X[0]",
    InputType.FLOATS: "[0.1, 0.2], or a variable of this notebook: X[0]",
    InputType.DOUBLES: "[0.1, 0.2], or a variable of this notebook: X[0]",
    InputType.STRINGS: "text, as it is",
    InputType.JSON: '{"age": 22, "sex": "male"}, or a variable of this notebook: rows[0]',
    InputType.BYTES: "base64 text, or a variable of this notebook: image_bytes; or upload a file",
}
_URL_HEAD = "data:;base64,"
_DATA_URL = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")


def read_typed(input_type: InputType, text: str, variables: Mapping[str, Any]) -> Any:
    """Return the input that a text means: text, JSON, base64, or an expression of the notebook.

    Parameters
    ----------
    input_type : InputType
    text : str
    variables : dict
        Those of the notebook, by name.

    Raises
    ------
    InvalidInputError
        It is none of these, or could be two of them.
    """
    if input_type is InputType.STRINGS:
        return text
    if not text.strip():
        raise InvalidInputError(f"There is no input. Type {PLACEHOLDERS[input_type]}.")
    if input_type is InputType.BYTES:
        return _read_bytes(text.strip(), variables)
    try:
        return json.loads(text)
    except ValueError:
        return _evaluate(text.strip(), variables, "JSON")


def as_typed(input_type: InputType, sent: Any) -> str:
    """Return a text that :func:`read_typed` reads as the input that is *sent* in JSON."""
    if input_type is InputType.BYTES:
        return f"{_URL_HEAD}{sent}" if not sent or str(sent).isidentifier() else str(sent)
    return str(sent) if input_type is InputType.STRINGS else json.dumps(sent, ensure_ascii=False)


def notebook_variables() -> Mapping[str, Any]:
    """Return the variables of the notebook by name; none elsewhere."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    return {} if shell is None else shell.user_ns


def _read_bytes(text: str, variables: Mapping[str, Any]) -> Any:
    url = _DATA_URL.match(text)
    decoded = _decode_base64(text[url.end() :] if url else text)
    if url and decoded is None:
        raise InvalidInputError("What follows ';base64,' in the input is not base64. Copy the whole text again.")
    if decoded is None:
        return _evaluate(text, variables, "base64")
    if text.isidentifier():
        raise InvalidInputError(
            f"{text!r} can be the name of a variable, and base64. "
            f"Type ({text}) for the variable, or {_URL_HEAD}{text} for the text."
        )
    return decoded


def _decode_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(_BLANKS.sub("", text), validate=True)
    except ValueError:
        return None


def _evaluate(text: str, variables: Mapping[str, Any], otherwise: str) -> Any:
    try:
        code = compile(text, "<input>", "eval")
    except SyntaxError as exc:
        raise InvalidInputError(f"The input is neither {otherwise} nor a Python expression: {exc.msg}.") from exc
    try:
        return eval(code, dict(variables))  # a user who types here may type in a cell as well
    except Exception as exc:
        raise InvalidInputError(f"The input {text!r} raises {type(exc).__name__}: {exc}.") from exc
