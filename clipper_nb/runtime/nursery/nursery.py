"""A nursery: a process that has imported the libraries of a cluster's models, and knows nothing of any model."""

from __future__ import annotations

import gc
import socket
import sys
from pathlib import Path

from clipper_nb.protocol.model_folder import MODULES_FOLDER
from clipper_nb.protocol.nursery import Answer, Import, Request
from clipper_nb.runtime.nursery.fitness import find_objection, find_threads, read_facts
from clipper_nb.runtime.nursery.forking import try_fork
from clipper_nb.runtime.nursery.libraries import find_changed, find_shadows, import_all, stamp_all
from clipper_nb.runtime.nursery.parent import Parent


class Nursery(Parent):
    """Imports libraries and forks replicas, as long as no file of these libraries has changed."""

    def __init__(self, end: socket.socket, supervisor_pid: int) -> None:
        super().__init__(end, supervisor_pid)
        self._facts = read_facts()
        self._changed: str | None = None
        """A file that was another one at the last fork."""
        self._settle()

    def answer(self, request: Request) -> Answer:
        if isinstance(request, Import):
            import_all(request.modules)
            self._settle()
            return Answer(refusal=try_fork(find_threads) or find_objection(self._facts, read_facts()))
        shadows = find_shadows(Path(request.model_folder) / MODULES_FOLDER, sys.modules)
        if shadows:
            return Answer(refusal=f"the model's module '{shadows[0]}' has the name of an imported one")
        answer = super().answer(request)
        if answer.pid and self._changed is not None:  # without its id, the new process ends by itself
            return Answer(refusal=f"{self._changed} has changed", is_stale=True)
        return answer

    def _look_meanwhile(self) -> None:
        self._changed = find_changed(self._stamps)

    def _settle(self) -> None:
        """Note the state of all files, and put all objects where no garbage collection of a replica touches them."""
        self._stamps = stamp_all(sys.modules)
        gc.collect()
        gc.freeze()
