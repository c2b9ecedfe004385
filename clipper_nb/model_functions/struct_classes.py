"""Makes a notebook's classes of msgspec again, which have their fields in C: cloudpickle knows nothing of them."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from types import MemberDescriptorType
from typing import Any, NamedTuple

import msgspec

_OPTIONS = (
    "frozen", "eq", "order", "array_like", "gc", "repr_omit_defaults", "omit_defaults", "forbid_unknown_fields",
    "weakref", "dict", "cache_hash", "tag", "tag_field",
)  # fmt: skip
_OF_EVERY_STRUCT = {"__module__", "__annotations__", "__slots__", "__qualname__", "__msgspec_cache__"}
_POST_INIT = "__post_init__"
_ORIG_BASES = "__orig_bases__"
"""With the parameters of generic ones."""


class StructField(NamedTuple):
    """A field that a class adds to those of its bases."""

    name: str
    encoded_name: str
    options: Mapping[str, Any]
    """``default`` or ``default_factory``, or neither."""


def reduce_struct(cls: Any) -> tuple[Any, ...]:
    """Return what rebuilds a class of msgspec elsewhere."""
    annotations = read_annotations(cls)
    num_required = len(cls.__struct_fields__) - len(cls.__struct_defaults__)
    defaults = [msgspec.NODEFAULT] * num_required + list(cls.__struct_defaults__)
    fields = [
        StructField(name, encoded_name, _default_options(default))
        for name, encoded_name, default in zip(
            cls.__struct_fields__, cls.__struct_encode_fields__, defaults, strict=True
        )
        if name in annotations
    ]
    options = {name: getattr(cls.__struct_config__, name) for name in _OPTIONS}
    options["kw_only"] = _has_keywords_only(cls, [field.name for field in fields])
    members = {
        name: member
        for name, member in vars(cls).items()
        if name not in _OF_EVERY_STRUCT and not isinstance(member, MemberDescriptorType)
    }
    has_post_init = _POST_INIT in members
    bases = cls.__bases__, vars(cls).get(_ORIG_BASES)
    made_from = cls.__name__, cls.__qualname__, cls.__module__, bases, fields, options, has_post_init
    return make_struct, made_from, (annotations, members), None, None, complete_struct


def make_struct(
    name: str,
    qualname: str,
    module: str,
    bases: tuple[tuple[type, ...], tuple[Any, ...] | None],
    fields: Sequence[StructField],
    options: Mapping[str, Any],
    has_post_init: bool,
) -> Any:
    """Return a class with the fields, and without their types and its methods, which may refer to it."""
    namespace: dict[str, Any] = {} if bases[1] is None else {_ORIG_BASES: bases[1]}
    if has_post_init:  # which msgspec looks up once, when it makes the class

        def post_init(self: Any) -> None:
            getattr(cls, _POST_INIT)(self)

        namespace[_POST_INIT] = post_init
    cls = msgspec.defstruct(
        name,
        [(field.name, Any, msgspec.field(name=field.encoded_name, **field.options)) for field in fields],
        bases=bases[0],
        module=module,
        namespace=namespace,
        **options,
    )
    cls.__qualname__ = qualname
    return cls


def complete_struct(cls: Any, state: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
    """Give a class that :func:`make_struct` made the types of its fields, its methods and class variables.

    msgspec looks at the types when it first reads or writes an object.
    """
    annotations, members = state
    cls.__annotations__ = dict(annotations)
    for name, member in members.items():
        setattr(cls, name, member)


def read_annotations(cls: type) -> dict[str, Any]:
    """Return the annotations that a class itself has; those that are text are read, if all of them can be."""
    own: dict[str, Any] = dict(vars(cls).get("__annotations__", {}))
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # of the annotations' own code
        return own
    return {name: hints.get(name, annotation) for name, annotation in own.items()}


def _default_options(default: Any) -> Mapping[str, Any]:
    if default is msgspec.NODEFAULT:
        return {}
    if type(default).__name__ == "Factory" and type(default).__module__ == "msgspec._core":
        return {"default_factory": default.factory}
    return {"default": default}


def _has_keywords_only(cls: Any, own: Sequence[str]) -> bool:
    """Return whether its fields are given by name: then a required one may follow one with a default."""
    positional = set(getattr(cls, "__match_args__", ()))
    return bool(own) and not positional.intersection(own)
