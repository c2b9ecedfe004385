"""The options that every way to deploy a version has: their types and their manuals, each stated once."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Any, TypedDict, TypeVar, cast

from clipper_nb.cluster.argument_checks import check_connection
from clipper_nb.cluster.new_version import NewVersion, make_new_version
from clipper_nb.cluster.surroundings import ChosenVariables
from clipper_nb.protocol.records import TextOutputs
from clipper_nb.protocol.resource_limits import ResourceLimits


class VersionOptions(TypedDict, total=False):
    """Options of every version, which also one has whose image was built before; all are passed by keyword.

    A new one is also a field of ``NewVersion``, which has its default, and an entry of ``_MANUALS``.
    """

    timeout_s: float
    limits: ResourceLimits | None
    isolate_errors: bool
    hang_timeout_s: float | None
    text_outputs: TextOutputs
    environment_variables: ChosenVariables
    network_access: bool | None


class DeployOptions(VersionOptions, total=False):
    """Options of every deployer: those of versions, and those that are for building the image."""

    system_packages: Sequence[str] | None
    files: Sequence[str] | None


_MANUALS = """
clipper_conn : ClipperConnection
    A connected one.
name : str
    The model's name.
version : str or int, optional
    Any text that is a valid Docker tag; versions are immutable. ``None``, or none at all where what follows is passed
    by keyword, takes the next free number: 1, 2, ...
input_type : str
    ``"ints"``, ``"floats"``, ``"doubles"``, ``"bytes"``, ``"strings"`` or ``"json"``.
labels : list of str, optional
    Kept with the version.
registry : str, optional
    For Docker: where to push the image.
num_replicas : int, optional
    How many processes serve it: 1 by default. If the model's current version is autoscaled, the default is its
    number, and its bounds go on with this version; a number given here ends them.
batch_size : int
    The most inputs that the function gets at once; -1 adapts to the SLO.
setup : callable, optional
    Called once in each replica, without arguments, before the model is loaded: for settings of libraries, such as
    ``sklearn.set_config``.
timeout_s : float
    Seconds that the replicas may take to load the model.
limits : ResourceLimits, optional
    Memory, cores and processes that each replica may use; kept with the version. The embedded cluster, on Linux,
    ends a replica that uses more memory and holds it to whole cores, rounded up; it does not limit processes.
isolate_errors : bool
    Whether a batch that the model raises on is computed again in parts, so that one bad input fails alone.
hang_timeout_s : float, optional
    A replica that is busy with one batch for longer than this, and than ten times the longest SLO of its queries,
    is replaced. ``None`` turns that off.
text_outputs : str
    ``"json"``: text that the model returns is read as JSON where it is JSON, as Clipper does, so ``"1E5"``
    becomes the number 100000.0. ``"text"``: text stays text. Other outputs become JSON by their type either way.
environment_variables : dict or list, optional
    Environment variables of the replicas: ``{"NAME": "value"}``, or ``["NAME"]`` with the notebook's values.
    ``TZ`` travels anyway.
    They are kept with the version, and stand in no image, log or report.
network_access : bool, optional
    For Docker: whether the replicas have a network. Without it they reach the query frontend alone, and neither other
    models, nor services of this machine, nor the internet. Default: only if the image's own program needs one, as
    those that clipper_nb has not built do. Processes of the embedded cluster have the machine's network.
system_packages : list of str, optional
    For Docker: packages of Debian that this version needs. The embedded cluster has the machine's.
files : list of str, optional
    Files and folders below the notebook's working directory; replicas find them under the same relative paths.
"""
_PARAMETERS = "Parameters\n----------\n"
_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])


def with_options(options: type[Any], **defaults: Any) -> Callable[[_FunctionT], _FunctionT]:
    """Give a function, in place of its ``**options``, those of a class above: in signature, manual and errors.

    Its ``version`` may be left out.

    Parameters
    ----------
    options : type
        ``VersionOptions`` or ``DeployOptions``, of which its ``**options`` are.
    **defaults
        Values of omitted options that are different from those of :class:`NewVersion`.

    Examples
    --------
    >>> @with_options(DeployOptions, timeout_s=180.0)
    ... def deploy(conn, name, version, input_type, func, **options: Unpack[DeployOptions]) -> None:
    ...     new = conn.new_version(name, version, input_type, **options)
    """

    def decorate(function: _FunctionT) -> _FunctionT:
        signature = _with_options(inspect.signature(function), options, defaults)
        names = list(signature.parameters)
        before_version = names.index("version") if "version" in names else -1
        is_deployer = names[0] == "clipper_conn"

        @functools.wraps(function)
        def with_known_options(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs.keys() - signature.parameters.keys():
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument '{name}'")
            if len(args) <= before_version:  # what follows it is named: so the version may be left out
                kwargs.setdefault("version", None)
            if is_deployer and (args or names[0] in kwargs):
                check_connection(args[0] if args else kwargs[names[0]])
            return function(*args, **{**defaults, **kwargs})

        with_known_options.__signature__ = signature  # type: ignore[attr-defined]
        with_known_options.__annotations__ = _annotations(signature)
        with_known_options.__doc__ = complete_manual(function.__doc__, signature.parameters)
        return cast("_FunctionT", with_known_options)

    return decorate


def complete_manual(manual: str | None, names: Iterable[str]) -> str | None:
    """Return a manual whose parameters are *names*, in that order: its own, and from here those that it leaves out."""
    if manual is None:  # as with python -OO
        return None
    before, heading, rest = inspect.cleandoc(manual).partition(_PARAMETERS)
    if not heading:
        return before
    section, *after = re.split(r"\n\n(?=\w+\n-+\n)", rest, maxsplit=1)
    known = {**_entries(_MANUALS), **_entries(section)}
    entries = dict.fromkeys(known[name] for name in names if name in known)  # one may be of several parameters
    return before + heading + "\n\n".join(["\n".join(entries), *after])


def _entries(section: str) -> dict[str, str]:
    """Return the entries of a section by the names of their parameters."""
    entries = re.split(r"\n(?=\S)", section.strip())
    return {name: entry for entry in entries for name in entry.partition(" :")[0].split(", ")}


def _with_options(signature: Signature, options: type[Any], defaults: Mapping[str, Any]) -> Signature:
    known = {**_defaults(), **defaults}
    own = [each for each in signature.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=known[name], annotation=_text(annotation))
        for name, annotation in inspect.get_annotations(options).items()
    ]
    return signature.replace(parameters=[*own, *added])


def _defaults() -> dict[str, Any]:
    """Return the default of each option, as a version has it that was created without the option."""
    of_fields = {field.name: field.default for field in fields(NewVersion) if field.default is not MISSING}
    arguments = inspect.signature(make_new_version).parameters.values()
    return {**of_fields, **{each.name: each.default for each in arguments if each.default is not Parameter.empty}}


def _annotations(signature: Signature) -> dict[str, Any]:
    of_parameters = {name: each.annotation for name, each in signature.parameters.items() if name != "self"}
    return {**of_parameters, "return": signature.return_annotation}


def _text(annotation: Any) -> str:
    return str(getattr(annotation, "__forward_arg__", annotation))
