"""Names under which answers and scores are kept: of an application's book, and of a version in it. (pure)"""

from __future__ import annotations

from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import Application, ModelVersion


def arm_of(version: ModelVersion) -> str:
    """Return the name under which a version's scores are kept; a version that is registered again has another one."""
    return f"{version.model_id}@{version.registered_at:.6f}"


def model_of(arm: str) -> str:
    """Return the version of ``arm_of`` as ``"name:version"``."""
    return arm.rpartition("@")[0]


def book_of(application: Application, policy: Policy | None) -> str:
    """Return the name under which an application's answers and scores are kept.

    An application that is registered again, or has another policy, begins a new book.
    """
    return f"{application.name}:{application.registered_at:.6f}:{'none' if policy is None else policy.name}"
