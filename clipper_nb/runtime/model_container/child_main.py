"""What a spawned child process of a model has as its ``__main__``: the classes and functions of the notebook.

A forked child has its parent's. Pickles of child processes name these as ``__main__.Clip``.
"""

from __future__ import annotations

from clipper_nb.protocol.model_folder import FUNCTION_FILE
from clipper_nb.runtime.model_container.notebook_main import load_pickled
from clipper_nb.runtime.model_container.settings import model_folder

if __name__ == "__mp_main__":  # the name that multiprocessing gives it
    load_pickled(model_folder(), FUNCTION_FILE, globals())
