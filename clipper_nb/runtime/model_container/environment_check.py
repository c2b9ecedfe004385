"""Before a model is loaded: whether it was pickled by versions that can be read here."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.protocol.load_report import UnreadableHere
from clipper_nb.protocol.model_environment import describe_environment, find_conflicts
from clipper_nb.protocol.model_folder import read_metadata


def check_environment(folder: Path) -> None:
    """Return when what the metadata in *folder* says of the notebook fits to what is here, or says nothing.

    Raises
    ------
    UnreadableHere
        With each version that differs.
    """
    notebook = read_metadata(folder).environment
    conflicts = find_conflicts(notebook, describe_environment(notebook))
    if conflicts:
        raise UnreadableHere(conflicts)
