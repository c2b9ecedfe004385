"""``python -m clipper_nb.runtime.nursery FD PID``: fork replicas on request of the supervisor PID, on the socket FD."""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys
import time

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_inputs
from clipper_nb.protocol.model_environment import CHECKED_PACKAGES, describe_environment
from clipper_nb.protocol.model_folder import parse_metadata
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.runtime.model_container import __main__ as program
from clipper_nb.runtime.nursery.heir import leave_heir
from clipper_nb.runtime.nursery.leaving import leave
from clipper_nb.runtime.nursery.libraries import installed_modules
from clipper_nb.runtime.nursery.newborn import become_replica, start_program
from clipper_nb.runtime.nursery.nursery import Nursery
from clipper_nb.runtime.nursery.parent import Birth
from clipper_nb.runtime.nursery.template import TemplateMaker

_IMPORTED_LATER = (
    "clipper_nb.runtime.model_container.python_model", "cloudpickle.cloudpickle", "numpy.random", "encodings.idna",
)  # fmt: skip
"""Modules that a replica imports when it needs them: to load a function, and to connect."""


def main() -> None:
    """Be a nursery; in each process that it forks, run the replica."""
    end, supervisor_pid = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    end.set_inheritable(False)
    _rehearse()
    birth, started_s = _be_born(end, supervisor_pid)
    start_program(birth.request)
    fd = birth.template_fd
    maker = None if fd is None else TemplateMaker(socket.socket(fileno=fd), supervisor_pid)
    program.main(maker, started_s=started_s)
    leave()


def _be_born(end: socket.socket, supervisor_pid: int) -> tuple[Birth, float]:
    """Obey as a nursery, or as the heir of one; return in each replica, with when it began."""
    while True:
        birth = Nursery(end, supervisor_pid).obey()
        started_s = time.monotonic()
        become_replica(birth)
        heirs_end = leave_heir(birth, supervisor_pid)
        if heirs_end is None:
            return birth, started_s
        end = heirs_end


def _rehearse() -> None:
    """Do what each replica does first: what that imports, reads and compiles is there for all of them."""
    for module in _IMPORTED_LATER:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    inputs = decode_inputs(InputType.DOUBLES, [bytes(8)])
    encode_outputs([each[0] for each in inputs], num_inputs=1)
    parse_metadata(b'{"kind": "python_closure"}')
    describe_environment(CHECKED_PACKAGES, {"numpy": "numpy"})
    installed_modules(sys.modules, sys.modules)


if __name__ == "__main__":
    main()
