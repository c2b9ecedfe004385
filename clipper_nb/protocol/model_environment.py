"""Versions that a pickle from the notebook depends on, compared with those where it will be loaded."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping

from clipper_nb.protocol.installed_distributions import installed_distributions
from clipper_nb.protocol.installed_library import installed_version

PYTHON = "Python"
CHECKED_PACKAGES = ("cloudpickle", "numpy", "pandas", "scikit-learn", "torch", "pyspark")
"""Distributions that are compared wherever a function uses them; all others where their objects are in the pickle.

Another minor version may fail to load the objects, or may load them but then answer differently.
"""

NO_MODULES: Mapping[str, str] = {}

Conflicts = Mapping[str, tuple[str, str]]
"""By name, the notebook's version and the other one."""


def describe_environment(names: Iterable[str], modules: Mapping[str, str] = NO_MODULES) -> dict[str, str]:
    """Return the versions of this Python and of those of the named distributions that are installed here.

    *modules* has by distribution a module that comes from it: here it may come from another one.
    """
    found = {PYTHON: platform.python_version()}
    installed = installed_distributions()
    for name in names:
        version = installed_version(name, modules.get(name), installed)
        if version is not None:  # an import reports what is missing, if the model needs it
            found[name] = version
    return found


def find_conflicts(notebook: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the distributions that both have in different minor versions. (pure)"""
    return {
        name: (version, other[name])
        for name, version in notebook.items()
        if name in other and _differ(version, other[name])
    }


def _differ(version: str, other: str) -> bool:
    """Return whether two versions differ in their first two numbers, as far as both have them: 2 and 2.5.0 do not."""
    pairs = zip(re.findall(r"\d+", version)[:2], re.findall(r"\d+", other)[:2], strict=False)
    return any(int(number) != int(other_number) for number, other_number in pairs)
