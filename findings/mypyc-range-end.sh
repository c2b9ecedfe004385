#!/bin/bash
# mypyc 2.4.1 reads the end of a `range` again in every round of a compiled loop.
# Seen: `for _ in range(remaining): remaining -= 1` makes 10 rounds in Python and 5 when compiled; with `remaining += 1`
# and a `break` after 100 rounds it makes 10 in Python and 100 when compiled. mypy --strict has no complaint.
# Expected: `range(n)` is evaluated once, as in Python; mypyc's page "Differences from Python" does not name it.
# Cause: the loop compares with the register of the variable, not with a copy; `range(0, n, 1)` does the same.
# `range(len(items))`, `range(n + 0)` and `range(self.n)` are right, since their value has a register of its own.
# Who is hurt: code that counts down what is left inside the loop (a budget, places in a batch, bytes to send) and is
# compiled for speed: tests that run interpreted pass, and half of the batch is left behind in production.
# Instead: give the end a name that nothing assigns to; run the unit tests against the compiled modules as well.
# Needs a C compiler.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mypy==2.4.1 setuptools==84.2.1
cat >"$folder/loops.py" <<'PYTHON'
def count_down(remaining: int) -> int:
    num_rounds = 0
    for _ in range(remaining):
        remaining -= 1
        num_rounds += 1
    return num_rounds


def count_up(remaining: int) -> int:
    num_rounds = 0
    for _ in range(remaining):
        remaining += 1
        num_rounds += 1
        if num_rounds == 100:
            break
    return num_rounds


def expression(remaining: int) -> int:
    num_rounds = 0
    for _ in range(remaining + 0):
        remaining -= 1
        num_rounds += 1
    return num_rounds
PYTHON
cd "$folder"
cat >count.py <<'PYTHON'
import loops

print(loops.count_down(10), loops.count_up(10), loops.expression(10))
PYTHON
venv/bin/mypy --version
interpreted=$(venv/bin/python count.py)
venv/bin/mypy --strict loops.py
if ! CFLAGS=-O0 venv/bin/mypyc loops.py >build.log 2>&1; then
    cat build.log >&2
    exit 1
fi
compiled=$(venv/bin/python count.py)
echo "rounds counting down, counting up, with an expression: expected $interpreted; seen when compiled $compiled"
[ "$interpreted" = "10 10 10" ] && [ "$compiled" = "5 100 10" ] || { echo "The behaviour has changed." >&2; exit 1; }
