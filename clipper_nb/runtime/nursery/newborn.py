"""Makes a forked process what one is that was started by itself: it shares nothing with its parent by mistake."""

from __future__ import annotations

import os
import sys
from importlib.machinery import FileFinder

from clipper_nb.protocol.environment import (
    CONTAINER_NAME,
    MODEL_CONTAINER_MODULE,
    MODEL_NAME,
    MODEL_VERSION,
    NURSERY_MODULE,
)
from clipper_nb.protocol.nursery import Fork
from clipper_nb.runtime.model_container import __main__ as program
from clipper_nb.runtime.nursery.appearance import look_like
from clipper_nb.runtime.nursery.parent import Birth
from clipper_nb.runtime.nursery.randomness import seed_anew

_STANDARD_OUTPUTS = (1, 2)


def become_replica(birth: Birth) -> None:
    """Give this process a session, log, environment and random numbers of its own, once the supervisor knows of it."""
    os.setsid()
    _use_outputs(birth.log_fd)
    if not os.read(birth.permit_fd, 1):
        os._exit(0)
    os.close(birth.permit_fd)
    os.environ.update(birth.request.environment)
    look_like(MODEL_CONTAINER_MODULE, os.environ[CONTAINER_NAME])
    seed_anew()


def start_program(request: Fork) -> None:
    """Give this process what the program of a model container finds when it is started: folder, import path, umask."""
    os.umask(request.umask)
    if sys.path[0] == os.getcwd():  # unless Python was told otherwise
        sys.path[0] = request.working_folder
    os.chdir(request.working_folder)
    sys.argv = [str(program.__file__)]
    # Not importlib.invalidate_caches(): that forgets what is installed, too, which the nursery looks at itself.
    for finder in list(sys.path_importer_cache.values()):
        if isinstance(finder, FileFinder):
            finder.invalidate_caches()


def become_template() -> None:
    """Detach this process from the session and the log of the replica that it is a copy of."""
    _detach(f"template {os.environ[MODEL_NAME]}:{os.environ[MODEL_VERSION]}")


def become_nursery(birth: Birth) -> None:
    """Detach this process from the replica that it is a copy of, and take away what only that one has."""
    _detach("nursery")
    for name in birth.request.environment:
        os.environ.pop(name, None)  # a library may have taken it away itself
    if birth.template_fd is not None:
        os.close(birth.template_fd)


def _detach(name: str) -> None:
    os.setsid()
    look_like(NURSERY_MODULE, name)
    _use_outputs(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))


def _use_outputs(new_fd: int) -> None:
    for fd in _STANDARD_OUTPUTS:
        os.dup2(new_fd, fd)
    os.close(new_fd)
