"""A template: a copy of the first replica of a version, as it was when it had loaded the model. It forks the others.

So the model is loaded once, and its memory is shared until a replica writes to it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

from clipper_nb.protocol.model_folder import SETUP_FILE, read_metadata
from clipper_nb.protocol.nursery import Answer, send_message
from clipper_nb.runtime.model_container.__main__ import LoadObserver
from clipper_nb.runtime.nursery.fitness import find_objection, find_threads, read_facts
from clipper_nb.runtime.nursery.forking import fork_to
from clipper_nb.runtime.nursery.libraries import import_all, imported_since, installed_modules, users_modules
from clipper_nb.runtime.nursery.newborn import become_replica, become_template
from clipper_nb.runtime.nursery.parent import Parent
from clipper_nb.runtime.nursery.randomness import find_changed, find_generator, read_states


class TemplateMaker(LoadObserver):
    """Observes what loading a model does to this process, and leaves a template if a fork of that is a good replica.

    Parameters
    ----------
    end : socket
        The template's end of its socket.
    supervisor_pid : int
        Becomes the template's parent.
    """

    def __init__(self, end: socket.socket, supervisor_pid: int) -> None:
        self._end = end
        self._supervisor_pid = supervisor_pid
        self._last_module = next(reversed(sys.modules))

    def before_load(self, model_folder: Path) -> None:
        # An import may draw random numbers, which says nothing about the model.
        import_all(read_metadata(model_folder).imports)
        self._has_setup = (model_folder / SETUP_FILE).exists()
        self._facts = read_facts()
        self._states = read_states()
        self._num_finalizers = _count_finalizers()

    def after_load(self) -> None:
        """Fork the template; return in this replica, and in each that the template forks."""
        new = imported_since(self._last_module, sys.modules)
        modules = tuple(installed_modules(new, sys.modules))
        objection, chance = self._find_objection(), self._find_chance(new)
        gc.freeze()
        pid = fork_to(self._supervisor_pid, lambda: find_threads() or objection or chance)
        if pid == 0:
            become_template()
            self._report(Answer(pid=os.getpid(), modules=modules))  # itself: the replica may be killed at this moment
            become_replica(Parent(self._end, self._supervisor_pid).obey())
            return
        if isinstance(pid, str):
            # An import may have drawn the numbers; a nursery that has the modules will show it.
            self._report(Answer(refusal=pid, is_stale=pid == chance and bool(modules), modules=modules))
        self._end.close()

    def _report(self, answer: Answer) -> None:
        with contextlib.suppress(OSError):  # the supervisor was killed
            send_message(self._end, answer)

    def _find_objection(self) -> str | None:
        if self._has_setup:
            return "its setup function runs in each"
        if _count_finalizers() > self._num_finalizers:
            return "it has something to remove at its end"
        return find_objection(self._facts, read_facts())

    def _find_chance(self, new: Sequence[str]) -> str | None:
        """Return why replicas that load the model themselves might differ from each other, or ``None``.

        *new* are the modules that the load has imported.
        """
        changed = find_changed(self._states, read_states())
        if changed:
            return f"loading it seeds or draws random numbers of {changed[0]}"
        if not users_modules(sys.modules, new):
            return None
        # A generator in the pickle has the same state in each replica; one that a module makes has not.
        generator = find_generator(gc.get_objects())
        return f"one of its modules may make a {generator} of its own" if generator else None


def _count_finalizers() -> int:
    """Return how many objects wait for the end of this process to remove what they made, such as temporary folders."""
    return len(vars(weakref.finalize)["_registry"])
