"""The rules for application, model, version and cluster names; one function checks each at every entry.

``check_`` is for a name that is given. A name that only refers to something is right if that exists, so ``known_`` asks
no more than that it is text: a typing error gets the same answer as any unknown name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from clipper_nb.errors import InvalidNameError

MAX_NAME_LENGTH = 63
MAX_VERSION_LENGTH = 128

_MODEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}\Z")
_APPLICATION_NAME = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?\Z")

RESERVED_APPLICATION_NAMES = frozenset(
    {"admin", "metrics", "livez", "readyz", "healthz", "docs", "openapi.json", "static", "v2"}
)
"""First path segments that the frontends use or reserve."""


class ModelId(NamedTuple):
    """One version of one model; its text is ``name:version``."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


def parse_model_id(text: str) -> ModelId:
    """Return the id that ``str`` wrote; neither names nor versions contain a colon."""
    name, _, version = text.partition(":")
    return ModelId(name, version)


def check_model_name(name: object) -> str:
    """Return *name* if it is a valid model name, else raise :class:`InvalidNameError`."""
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _MODEL_NAME.match(name):
        return name
    raise InvalidNameError(
        "model name",
        name,
        "use lower case letters, digits and inner hyphens, at most 63 characters, for example 'digits-net'.",
    )


def check_version(version: object) -> str:
    """Return *version* as text if it is valid; an ``int`` becomes text, a ``float`` is rejected."""
    text = known_version(version)
    if _VERSION.match(text):
        return text
    raise InvalidNameError(
        "version",
        version,
        "use letters, digits, '_', '.' and '-', not starting with '.' or '-', at most 128 characters.",
    )


def next_version(taken: Iterable[str]) -> str:
    """Return the version that a deploy gets which names none: the number after the largest that is *taken*, or 1.

    Versions of other forms, such as ``"1.0"`` or ``"rc1"``, are not counted.
    """
    return str(1 + max((int(version) for version in taken if _NUMBER.match(version)), default=0))


def known_name(what: str, name: object) -> str:
    """Return the name of something that should exist: any text; *what* is its kind."""
    if isinstance(name, str) and is_unicode(name):
        return name
    raise InvalidNameError(what, name, "use text.")


def known_version(version: object) -> str:
    """Return the version that should exist as text; an ``int`` becomes text, a ``float`` is rejected."""
    if isinstance(version, bool) or not isinstance(version, (int, str)):
        rule = "use text or an int."
        if isinstance(version, float):
            rule = f"a float cannot distinguish 1.10 from 1.1; pass it as text: '{version}'."
        raise InvalidNameError("version", version, rule)
    if isinstance(version, int) and abs(version) >= 10**MAX_VERSION_LENGTH:
        version = "-huge number"  # Python refuses to convert the largest ones
    return known_name("version", str(version))


def check_application_name(name: object) -> str:
    """Return *name* if it is a valid application name that no route of the frontends uses."""
    if isinstance(name, str) and name.lower() in RESERVED_APPLICATION_NAMES:
        raise InvalidNameError("application name", name, "the frontends use this path; choose another name.")
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _APPLICATION_NAME.match(name):
        return name
    raise InvalidNameError(
        "application name",
        name,
        "use letters, digits and inner '-', '_' or '.', at most 63 characters; it is one segment of the URL.",
    )


def check_token_name(name: object) -> str:
    """Return *name* if it is a valid name of an application's token: the rule for clusters."""
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _APPLICATION_NAME.match(name):
        return name
    raise InvalidNameError("token name", name, "use letters, digits and inner '-', '_' or '.', at most 63 characters.")


def check_cluster_name(name: object) -> str:
    """Return *name* if it is a valid cluster name: the rule for applications, without reserved words."""
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _APPLICATION_NAME.match(name):
        return name
    raise InvalidNameError(
        "cluster name", name, "use letters, digits and inner '-', '_' or '.', at most 63 characters."
    )


def is_unicode(text: str) -> bool:
    """Return whether JSON can have the text: no half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
