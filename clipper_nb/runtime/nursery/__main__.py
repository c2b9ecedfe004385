"""``python -m clipper_nb.runtime.nursery FD PID``: fork replicas on request of the supervisor PID, on the socket FD."""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_inputs
from clipper_nb.protocol.model_environment import CHECKED_PACKAGES, describe_environment
from clipper_nb.protocol.model_folder import parse_metadata
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.runtime.model_container import __main__ as program
from clipper_nb.runtime.nursery.leaving import leave
from clipper_nb.runtime.nursery.libraries import installed_modules
from clipper_nb.runtime.nursery.newborn import become_replica, start_program
from clipper_nb.runtime.nursery.nursery import Nursery
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
    birth = Nursery(end, supervisor_pid).obey()
    become_replica(birth)
    start_program(birth.request)
    template_fd = birth.template_fd
    program.main(None if template_fd is None else TemplateMaker(socket.socket(fileno=template_fd), supervisor_pid))
    leave()


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
