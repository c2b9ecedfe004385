"""``make fuzz`` sets FUZZ_MINUTES: the tests of each file share that time, each again and again with new examples."""

from __future__ import annotations

import os
import time

import pytest

_MINUTES = os.environ.get("FUZZ_MINUTES", "")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Repeat a test for its share of the time."""
    if not _MINUTES:
        return None
    num_sharing = sum(item.path == pyfuncitem.path for item in pyfuncitem.session.items)
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    end_s = time.monotonic() + 60 * float(_MINUTES) / num_sharing
    while time.monotonic() < end_s:
        pyfuncitem.obj(**arguments)
    return True
