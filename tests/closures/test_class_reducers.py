"""Types of a cell, which pickle loses or takes along by name alone, arrive whole in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.errors import SerializationError

CELLS = {
    "NewType": (
        "import typing\nA = typing.NewType('A', int)\nB = typing.NewType('B', A)\n"
        "def same(x: B) -> B:\n    return B(x)\n"
        "def predict(inputs):\n    return [[same(3), B.__name__, B.__supertype__ is A] for _ in inputs]",
        [3, "B", True],
    ),
    "ParamSpec": (
        "import typing\nP = typing.ParamSpec('P', bound=int)\nT = typing.TypeVar('T')\n"
        "def same(f: typing.Callable[P, T]) -> typing.Callable[P, T]:\n    return f\n"
        "class Box(typing.Generic[P]):\n    size = 2\n"
        "box = Box()\n"
        "def predict(inputs):\n    return [[same(abs)(-2), repr(P), P.__bound__ is int, box.size] for _ in inputs]",
        [2, "~P", True, 2],
    ),
    "TypeVarTuple": (
        "from typing_extensions import Generic, TypeVarTuple, Unpack\nTs = TypeVarTuple('Ts')\n"
        "class Box(Generic[Unpack[Ts]]):\n    size = 2\n"
        "def predict(inputs):\n    return [[Box().size, Ts.__name__, Box.__parameters__ == (Ts,)] for _ in inputs]",
        [2, "Ts", True],
    ),
    "type alias": (
        "from typing_extensions import TypeAliasType\nRows = TypeAliasType('Rows', list[int])\n"
        "def same(x: Rows) -> Rows:\n    return x\n"
        "def predict(inputs):\n    return [[same([1]), Rows.__name__, repr(Rows.__value__)] for _ in inputs]",
        [[1], "Rows", "list[int]"],
    ),
    "aliases of an enum": (
        "import enum\nclass Color(enum.Enum):\n    RED = 1\n    CRIMSON = 1\n    BLUE = [2]\n    NAVY = [2]\n"
        "def predict(inputs):\n"
        "    return [[Color['CRIMSON'].name, Color.NAVY.name, list(Color.__members__)] for _ in inputs]",
        ["RED", "BLUE", ["RED", "CRIMSON", "BLUE", "NAVY"]],
    ),
    "alias of flags": (
        "import enum\nclass Can(enum.Flag):\n    READ = 1\n    WRITE = 2\n    BOTH = 3\n"
        "def predict(inputs):\n    return [[(Can.READ | Can.WRITE) is Can.BOTH, Can(3).name] for _ in inputs]",
        [True, "BOTH"],
    ),
    "attributes of an enum's members": (
        "import enum\nclass Planet(enum.Enum):\n    EARTH = (3, 4)\n    MARS = (5, 6)\n"
        "    def __init__(self, mass, radius):\n        self.mass, self.product = mass, mass * radius\n"
        "    def heavier(self):\n        return self.mass + 1\n"
        "Planet.MARS.note = 'red'\n"
        "def predict(inputs):\n"
        "    return [[Planet.EARTH.product, Planet((5, 6)).note, Planet.MARS.heavier()] for _ in inputs]",
        [12, "red", 6],
    ),
    "enum with a __new__": (
        "import enum\nclass Unit(str, enum.Enum):\n    KG = ('kg', 1000)\n    G = ('g', 1)\n"
        "    def __new__(cls, text, factor):\n        unit = str.__new__(cls, text)\n        unit._value_ = text\n"
        "        unit.factor = factor\n        return unit\n"
        "def predict(inputs):\n    return [[Unit('kg').factor, Unit.G + '!', Unit.G.value] for _ in inputs]",
        [1000, "g!", "g"],
    ),
    "dataclass that the function derives from": (
        "import dataclasses\n@dataclasses.dataclass\nclass Base:\n    must: int\n"
        "    items: list = dataclasses.field(default_factory=list)\n"
        "def predict(inputs):\n    @dataclasses.dataclass\n    class More(Base):\n        size: int = 5\n"
        "    More(1).items.append(3)\n"
        "    must = Base.__dataclass_fields__['must']\n"
        "    return [[More(1).items, must.default is dataclasses.MISSING] for _ in inputs]",
        [[], True],
    ),
    "an object compared by identity": (
        "import textwrap\ntextwrap.NOT_GIVEN = object()\nNOTHING, OWN = textwrap.NOT_GIVEN, object()\n"
        "def own(x=OWN):\n    return x is OWN\n"
        "def predict(inputs):\n    import textwrap\n    textwrap.NOT_GIVEN\n"
        "    return [[NOTHING is textwrap.NOT_GIVEN, own()] for _ in inputs]",
        [True, True],
    ),
}  # fmt: skip


def run_cell(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "cell.py", "exec"), names)
    return names


@pytest.mark.parametrize("name", CELLS)
def test_type_of_a_cell_arrives_in_another_process(name: str) -> None:
    code, expected = CELLS[name]
    predict = run_cell(code)["predict"]
    elsewhere = (
        "import json, pickle, sys, textwrap\nsys.modules['clipper_nb'] = None\ntextwrap.NOT_GIVEN = object()\n"
        "print(json.dumps(pickle.load(sys.stdin.buffer)([5, 10])))"
    )
    pickled, _report = pickle_function(predict)
    ran = subprocess.run([sys.executable, "-c", elsewhere], input=pickled, capture_output=True, cwd="/", timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    assert json.loads(ran.stdout) == [expected, expected] == predict([5, 10])


def test_enum_whose_members_are_not_their_values_is_refused() -> None:
    code = (
        "import enum\nclass Code(bytes, enum.Enum):\n    A = 1\n"
        "    def __new__(cls, number):\n        code = bytes.__new__(cls, [number])\n        code._value_ = number\n"
        "        return code\n"
        "def predict(inputs):\n    return [Code.A[0] for _ in inputs]"
    )
    with pytest.raises(
        SerializationError, match=r"'Code'.*line 9: the enum Code has a __new__ that makes A another bytes"
    ):
        pickle_function(run_cell(code)["predict"])
