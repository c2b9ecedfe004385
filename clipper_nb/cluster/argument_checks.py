"""Checks of arguments that are not names; each raises ``InvalidRequestError`` and says what was expected. (pure)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.clipper_containers import format_choice
from clipper_nb.protocol.names import is_unicode
from clipper_nb.protocol.number_rules import Whole
from clipper_nb.protocol.records import TEXT_OUTPUTS, TextOutputs
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits

_URL_WITH_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]+@|https?://(?!git@)[^/\s@]+@", re.IGNORECASE)
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?", re.ASCII)

_HOST = re.compile(r"\*|(\*\.)?[^][\s:/\\@*,]+")
_ORIGIN = re.compile(r"\*|null|[a-zA-Z][a-zA-Z0-9+.-]*://(\[[0-9a-fA-F:.]+\]|[^][\s:/\\@*,]+)(:[0-9]+)?")


def check_connection(conn: object) -> None:
    """Raise an error unless a deployer was given a connection: one that only looks like it will do."""
    if hasattr(conn, "new_version") and not isinstance(conn, type):
        return
    raise InvalidRequestError(
        "The first argument of a deployer is the connection to the cluster, as in deploy_python_closure(conn, ...); it "
        f"is {conn!r:.200}. Make one: conn = ClipperConnection(LocalContainerManager()); conn.start_clipper()."
    )


def check_whole(name: str, value: object, smallest: int, largest: int | None = None) -> None:
    Whole(name, smallest, largest).check(value)


def check_timeout(timeout_s: object) -> None:
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, (int, float)) or not 0 < timeout_s < float("inf"):
        raise InvalidRequestError(f"timeout_s must be a number of seconds above 0; it is {timeout_s!r}.")


def check_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{name} must be True or False; it is {value!r}.")
    return value


def check_key(key: object) -> str | None:
    """Return a request's key as text, or ``None`` without one; users' numbers are often NumPy's."""
    if key is None or (isinstance(key, str) and is_unicode(key)):
        return key
    if not isinstance(key, bool) and isinstance(key, Integral):
        return str(int(key))
    raise InvalidRequestError(f"key must be text or a whole number, not {type(key).__name__}: {key!r:.60}.")


def check_list(what: str, value: Sequence[Any]) -> Sequence[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, set, frozenset)):
        raise InvalidRequestError(f"{what} must be a list, not {value!r}.")
    return value


def check_clipper_containers(accepted: bool | Sequence[str] | None) -> str | None:
    if accepted is None:
        return None
    if not isinstance(accepted, bool):
        check_list("accept_clipper_containers", accepted)
    return format_choice(accepted)


def check_labels(labels: Sequence[str] | None) -> list[str]:
    checked = list(check_list("labels", [] if labels is None else labels))
    for label in checked:
        if not isinstance(label, str):
            raise InvalidRequestError(f"Labels must be text; {label!r} is not.")
    return checked


def check_limits(limits: ResourceLimits | None) -> ResourceLimits:
    if limits is not None and not isinstance(limits, ResourceLimits):
        raise InvalidRequestError(
            f"limits must be ResourceLimits(memory=..., cpus=..., processes=...), not {limits!r}."
        )
    return limits or NO_LIMITS


def check_system_packages(packages: Sequence[str] | None) -> list[str]:
    return _check_texts("system_packages", packages, _DEBIAN_PACKAGE, "names of Debian packages, such as 'libgomp1'")


def check_text_outputs(text_outputs: object) -> TextOutputs:
    for known in TEXT_OUTPUTS:
        if text_outputs == known:
            return known
    raise InvalidRequestError(
        f'text_outputs must be "json" or "text", not {text_outputs!r}. With "text", text stays text, also "1E5".'
    )


def check_hosts(hosts: Sequence[str] | None) -> tuple[str, ...]:
    what = "names without scheme and port: 'models.example.org', '*.example.org' for all names below it, or '*' for any"
    return tuple(_check_texts("allowed_hosts", hosts, _HOST, what))


def check_origins(origins: Sequence[str] | None) -> tuple[str, ...]:
    what = "origins as browsers send them, without a path: 'https://app.example.org', or '*' for any"
    return tuple(_check_texts("allow_origins", origins, _ORIGIN, what))


def check_packages(packages: Sequence[str] | None) -> list[str]:
    checked = list(check_list("pkgs_to_install", [] if packages is None else packages))
    for package in checked:
        if not isinstance(package, str) or not package.strip() or package.lstrip().startswith("-"):
            raise InvalidRequestError(f"pkgs_to_install must hold pip requirements; {package!r} is not one.")
        if _URL_WITH_PASSWORD.search(package):
            raise InvalidRequestError(
                f"The requirement of {package.partition('@')[0].partition(':')[0].strip()!r} has a password or token "
                "in its URL, which would be kept with the version and in its image. Leave it out of the URL, and set "
                "PIP_INDEX_URL or PIP_EXTRA_INDEX_URL with it where the notebook runs: builds use these and keep "
                "neither."
            )
    return checked


def _check_texts(name: str, values: Sequence[str] | None, pattern: re.Pattern[str], what: str) -> list[str]:
    """Return a list of texts that match *pattern*; *what* says in the error what they must be."""
    checked = list(check_list(name, [] if values is None else values))
    for value in checked:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise InvalidRequestError(f"{name} must hold {what}; {value!r} is not one.")
    return checked
