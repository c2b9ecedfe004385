#!/bin/bash
# msgspec 0.22.0 applies the constraint of one member of a union to another member.
# Seen: with `Union[Annotated[int, Meta(ge=1)], Literal[-1]]`, `convert(-1, ...)` and `json.decode(b"-1", ...)` raise
# "Expected `int` >= 1", while `json.schema()` of the same type has -1 as its second alternative, so that a client that
# follows the schema is refused.
# Expected: a union takes what one of its members takes, as the schema says and as other validators do.
# `Literal` alone takes -1; the order of the members does not matter.
# Who is hurt: records with "a number from 1 on, or -1 for no limit", such as batch sizes and time limits.
# Instead: a plain `int`, checked in `__post_init__`, or `Meta(ge=-1)` with a check that it is not 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q msgspec==0.22.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from typing import Annotated, Literal, Union

import msgspec

Limit = Union[Annotated[int, msgspec.Meta(ge=1)], Literal[-1]]


def outcome(call):
    try:
        return call()
    except msgspec.ValidationError as exc:
        return str(exc)


print(
    msgspec.__version__,
    outcome(lambda: msgspec.convert(-1, Limit)),
    outcome(lambda: msgspec.json.decode(b"-1", type=Limit)),
    outcome(lambda: msgspec.convert(-1, Union[Literal[-1], Annotated[int, msgspec.Meta(ge=1)]])),
    outcome(lambda: msgspec.convert(-1, Literal[-1])),
    msgspec.json.schema(Limit)["anyOf"][1],
    sep=" | ",
)
PYTHON
)
echo "version | convert | decode | other order | literal alone | second alternative of the schema"
echo "$seen"
refused='Expected `int` >= 1'
expected="0.22.0 | $refused | $refused | $refused | -1 | {'enum': [-1]}"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
