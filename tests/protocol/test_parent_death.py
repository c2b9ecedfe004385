"""A process with the hook ends when its parent is killed; it would go on without."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest

from clipper_nb.protocol.parent_death import end_with_parent_hook

_PARENT = """
import subprocess
from clipper_nb.protocol.parent_death import end_with_parent_hook
subprocess.run(["sh", "-c", "echo started; read line"], preexec_fn=end_with_parent_hook())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has it")
def test_child_is_ended_with_its_parent() -> None:
    """The child holds the writing end of a pipe, which ends with it; it reads another that this test keeps open."""
    read_fd, write_fd = os.pipe()
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=write_fd) as parent:
        os.close(write_fd)
        assert os.read(read_fd, 100) == b"started\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert select.select([read_fd], [], [], 20.0)[0] == [read_fd]
        assert os.read(read_fd, 100) == b""
    os.close(read_fd)


def test_other_systems_have_no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert end_with_parent_hook() is None
