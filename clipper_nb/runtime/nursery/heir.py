"""The heir of a nursery: a copy of the first replica that needs other libraries, as it was when it had imported them.

It takes the nursery's place, so what one model needs is there for the next one at once, and is imported only once.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from clipper_nb.protocol.environment import LOAD_TIMEOUT_S
from clipper_nb.protocol.model_environment import describe_environment
from clipper_nb.protocol.model_folder import read_metadata
from clipper_nb.protocol.nursery import Answer, Fork, send_message
from clipper_nb.runtime.model_container.load_watch import watch_load
from clipper_nb.runtime.nursery.fitness import find_objection, find_threads, read_facts
from clipper_nb.runtime.nursery.forking import fork_to
from clipper_nb.runtime.nursery.libraries import import_all, imported_since, installed_modules
from clipper_nb.runtime.nursery.newborn import become_nursery
from clipper_nb.runtime.nursery.parent import Birth


def leave_heir(birth: Birth, supervisor_pid: int) -> socket.socket | None:
    """Import the libraries that the new replica needs, and fork the heir.

    Parameters
    ----------
    birth : Birth
        Of this process, which has not loaded anything of its model yet.
    supervisor_pid : int
        Becomes the heir's parent.

    Returns
    -------
    socket or None
        In the heir its end of its socket; in the replica ``None``, also if no heir was asked for, is needed or can be.
    """
    if birth.heir_fd is None:
        return None
    end = socket.socket(fileno=birth.heir_fd)
    answer = _import_and_fork(birth.request, supervisor_pid)
    is_heir = answer is not None and answer.pid is not None
    if is_heir:
        become_nursery(birth)
    if answer is not None:
        with contextlib.suppress(OSError):  # the supervisor was killed
            send_message(end, answer)
    if is_heir:
        return end
    end.close()
    return None


def _import_and_fork(request: Fork, supervisor_pid: int) -> Answer | None:
    """Return what the heir reports, in the heir; in the replica why there is none, or ``None``."""
    last_module, facts = next(reversed(sys.modules)), read_facts()
    with contextlib.suppress(Exception):  # the replica, and those of the heir, ask the same, and report it
        metadata = read_metadata(Path(request.model_folder))
        describe_environment(metadata.environment, metadata.modules)
    timeout_s = os.environ.get(LOAD_TIMEOUT_S)
    with watch_load(None if timeout_s is None else float(timeout_s)):
        import_all(request.imports)
    modules = tuple(installed_modules(imported_since(last_module, sys.modules), sys.modules))
    if not modules:  # all was there
        return Answer()
    objection = find_objection(facts, read_facts())
    pid = fork_to(supervisor_pid, lambda: find_threads() or objection)
    if isinstance(pid, str):
        return Answer(refusal=pid, modules=modules)
    return None if pid else Answer(pid=os.getpid(), modules=modules)
