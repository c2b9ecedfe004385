"""Before a model is loaded: whether it was pickled by versions that can be read here."""

from __future__ import annotations

import json
from pathlib import Path

from clipper_nb.protocol.load_report import UnreadableHere
from clipper_nb.protocol.model_environment import describe_environment, find_conflicts


def check_environment(folder: Path) -> None:
    """Return when what the metadata in *folder* says of the notebook fits to what is here, or says nothing.

    Raises
    ------
    UnreadableHere
        With each version that differs.
    """
    path = folder / "metadata.json"
    if not path.exists():
        return
    notebook = json.loads(path.read_text()).get("environment", {})
    conflicts = find_conflicts(notebook, describe_environment(notebook))
    if conflicts:
        raise UnreadableHere(conflicts)
