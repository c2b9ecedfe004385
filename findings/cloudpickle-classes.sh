#!/bin/bash
# cloudpickle 3.1.3 changes classes that a notebook defines, and reports nothing.
# Seen: an enum that is pickled by value loses its aliases, its named flag combinations and the attributes that its
# `__init__` or `__new__` set. A dataclass loses the marker "no default": a class derived from it where it is loaded
# takes the class `list` as the value of a field that had `default_factory=list`.
# Expected: the class as it was defined; cloudpickle's README promises functions and classes that are defined
# interactively, and names no limit for enums. Cause: the enum is rebuilt from `{member.name: member.value}` alone (an
# alias is not in it), before its methods exist; `dataclasses.MISSING` is compared by identity and pickled as a copy.
# Who is hurt: a model that looks up a label by an alias, or a price by `Plan.PRO.price`, works in the notebook and
# raises AttributeError in its replica; the derived dataclass raises nothing and computes with `<class 'list'>`.
# A trial in the notebook's own process shows nothing: there cloudpickle finds the original class again.
# Instead: put enums with attributes, and dataclasses that are derived from later, into a module that is shipped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q cloudpickle==3.1.3
cat >"$folder/notebook.py" <<'PYTHON'
import dataclasses
import enum
import subprocess
import sys

import cloudpickle


class Plan(enum.Enum):
    FREE = ("free", 0)
    PRO = ("pro", 9)

    def __init__(self, title, price):
        self.price = price


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # an alias


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


@dataclasses.dataclass
class Options:
    names: list = dataclasses.field(default_factory=list)


def price():
    return Plan.PRO.price


def alias():
    return Color["CRIMSON"].name


def combination():
    return list(Access.__members__)


def derived():
    return dataclasses.make_dataclass("More", [("level", int, 5)], bases=(Options,))().names


LOADER = """
import pickle, sys
function = pickle.load(sys.stdin.buffer)
try:
    print(repr(function()))
except Exception as exc:
    print(f"{type(exc).__name__}: {exc}")
"""
STATED = {
    price: "AttributeError: 'Plan' object has no attribute 'price'",
    alias: "KeyError: 'CRIMSON'",
    combination: "['READ', 'WRITE']",
    derived: "<class 'list'>",
}
print("cloudpickle", cloudpickle.__version__)
changed = False
for function, stated in STATED.items():
    dumped = cloudpickle.dumps(function)
    loaded = subprocess.run([sys.executable, "-c", LOADER], input=dumped, capture_output=True, check=True)
    seen = loaded.stdout.decode().strip()
    print(f"{function.__name__}: expected {function()!r}; seen after loading: {seen}")
    changed = changed or seen != stated
sys.exit("The behaviour has changed." if changed else 0)
PYTHON
"$folder/venv/bin/python" "$folder/notebook.py"
