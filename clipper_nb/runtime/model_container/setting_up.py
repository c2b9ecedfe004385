"""What a replica does before it loads its model: it goes to the files that travelled, and runs the user's ``setup``."""

from __future__ import annotations

import os
from pathlib import Path

from clipper_nb.protocol.model_folder import FILES_FOLDER, SETUP_FILE
from clipper_nb.runtime.model_container.notebook_main import load_pickled


def set_up(folder: Path) -> None:
    """Make the files in the model's *folder* those of the working directory, and call its ``setup`` function.

    What is not there is left out. Exceptions of the function pass through.
    """
    folder = folder.absolute()
    if (folder / FILES_FOLDER).is_dir():
        os.chdir(folder / FILES_FOLDER)
    if (folder / SETUP_FILE).exists():
        load_pickled(folder, SETUP_FILE)()
