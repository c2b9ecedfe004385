"""Checks, before a model is loaded, that it was pickled by versions that can be loaded here."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.protocol.load_report import UnreadableHere
from clipper_nb.protocol.model_environment import describe_environment, find_conflicts
from clipper_nb.protocol.model_folder import read_metadata


def check_environment(folder: Path) -> None:
    """Return if the notebook's versions in *folder*'s metadata fit those here, or are not recorded.

    Raises
    ------
    UnreadableHere
        With every version that differs.
    """
    metadata = read_metadata(folder)
    here = describe_environment(metadata.environment, metadata.modules)
    conflicts = find_conflicts(metadata.environment, here)
    if conflicts:
        raise UnreadableHere(conflicts)
