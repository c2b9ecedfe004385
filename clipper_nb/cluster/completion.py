"""Lets IPython complete behind a key: the versions in ``conn.models["digits"]["``.

IPython's completer evaluates ``conn.models["digits"]`` only if it knows that the type's ``__getitem__`` is harmless.
Ours asks the cluster and changes nothing. IPython is not imported for this where no shell of it runs.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

from clipper_nb.cluster.endpoints import Endpoints, EndpointVersions
from clipper_nb.cluster.handles import Applications, ModelHandle, Models

_COMPLETABLE = (Applications, Endpoints, EndpointVersions, ModelHandle, Models)


_EVALUATION = "IPython.core.guarded_eval"


def let_handles_complete() -> None:
    """Add the handles to the types whose keys IPython's completer may read; does nothing where it has no such list."""
    policies = getattr(_evaluation_module(), "EVALUATION_POLICIES", {})
    allowed = getattr(policies.get("limited"), "allowed_getitem", None)
    if isinstance(allowed, set):
        allowed.update(_COMPLETABLE)


def _evaluation_module() -> Any:
    """Return what the completer evaluates with, which a shell imports only when it first completes."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_ipython is not None and get_ipython() is not None:
        with contextlib.suppress(ImportError):  # an old IPython
            return importlib.import_module(_EVALUATION)
    return sys.modules.get(_EVALUATION)
