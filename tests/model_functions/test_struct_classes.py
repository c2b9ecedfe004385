"""Classes of msgspec from a notebook are the same classes in a replica."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
import pytest

from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.model_functions.function_copy import unpickle_copy


class Base(msgspec.Struct, tag="base", frozen=True):
    x: int


class Child(Base, kw_only=True, rename="camel", forbid_unknown_fields=True, tag="child", weakref=True):
    """A child."""

    first_name: str
    score: Annotated[float, msgspec.Meta(ge=0, description="0 or more")] = 1.0
    many: list[int] = []
    other: dict[str, int] = msgspec.field(default_factory=lambda: {"a": 1}, name="OTHER")
    limit: ClassVar[int] = 3

    def total(self) -> float:
        return self.x + self.score * self.limit

    @property
    def title(self) -> str:
        return f"{type(self).__name__} {self.first_name}"

    @classmethod
    def make(cls) -> Child:
        return Child(x=1, first_name="made")


class Node(msgspec.Struct):
    name: str
    nodes: list[Node] = []

    def __post_init__(self) -> None:
        self.name = self.name.upper()

    def names(self) -> list[str]:
        return [self.name, *(name for node in self.nodes for name in node.names())]

    def has_nodes_of_its_class(self) -> bool:
        return all(type(node) is type(self) is Node for node in self.nodes)


T = TypeVar("T")


class Pair(msgspec.Struct, Generic[T]):
    first: T
    second: T


def travelled(cls: Any) -> Any:
    """Return a copy of the class, as a replica gets it of a class of a cell, or of a module of the user's."""
    return unpickle_copy(pickle_function(lambda inputs: [cls for _ in inputs])[0])([0])[0]


def test_class_has_its_fields_names_and_defaults() -> None:
    copy = travelled(Child)
    assert copy is not Child
    assert str(inspect.signature(copy)) == str(inspect.signature(Child))
    assert copy.__struct_fields__ == Child.__struct_fields__
    assert copy.__struct_encode_fields__ == Child.__struct_encode_fields__
    assert repr(copy(x=1, first_name="a")) == repr(Child(x=1, first_name="a"))
    assert copy(x=1, first_name="a").many is not copy(x=1, first_name="a").many
    assert (copy.__doc__, copy.__qualname__, copy.__module__) == ("A child.", "Child", __name__)
    options = [name for name in dir(Child.__struct_config__) if not name.startswith("_")]
    assert [getattr(copy.__struct_config__, name) for name in options] == [
        getattr(Child.__struct_config__, name) for name in options
    ]


def test_class_reads_and_writes_the_same_json() -> None:
    copy = travelled(Child)
    text = b'{"type":"child","x":1,"firstName":"a","score":2.0,"many":[1],"OTHER":{}}'
    assert msgspec.json.encode(msgspec.json.decode(text, type=copy)) == text
    assert msgspec.json.schema(copy) == msgspec.json.schema(Child)
    with pytest.raises(msgspec.ValidationError, match=r"`float` >= 0"):
        msgspec.json.decode(text.replace(b"2.0", b"-1"), type=copy)


def test_methods_and_class_variables_are_there() -> None:
    copy = travelled(Child)
    one = copy(x=1, first_name="a", score=2.0)
    assert (one.total(), one.title, copy.limit) == (7.0, "Child a", 3)
    assert type(copy.make()) is copy
    with pytest.raises(AttributeError, match="immutable"):
        one.x = 2


def test_class_that_names_itself_is_one_class() -> None:
    copy = travelled(Node)
    tree = msgspec.convert({"name": "a", "nodes": [{"name": "b"}, {"name": "c"}]}, copy)
    assert tree.names() == ["A", "B", "C"]
    assert tree.has_nodes_of_its_class()


def test_generic_class_keeps_its_parameters() -> None:
    copy = travelled(Pair)
    assert msgspec.convert({"first": 1, "second": 2}, copy[int]) == copy(1, 2)
    with pytest.raises(msgspec.ValidationError, match="Expected `int`"):
        msgspec.convert({"first": 1, "second": "2"}, copy[int])
