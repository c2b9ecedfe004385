"""The limit of open files, in processes of their own."""

from __future__ import annotations

import resource
import subprocess
import sys


def _printed(code: str, soft: int, hard: int) -> str:
    """Return what *code* prints in a process that begins with these limits."""
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
    names = "from clipper_nb.runtime.http.open_files import max_http_connections, raise_open_files_limit\n"
    done = subprocess.run([sys.executable, "-c", limits + names + code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    code = "raise_open_files_limit(); print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    assert _printed(code, 100, 200) == "(200, 200)"


def test_some_files_are_kept_for_everything_else_than_http() -> None:
    assert _printed("print(max_http_connections())", 1000, 1000) == "900"
    assert _printed("print(max_http_connections())", 100, 1000) == "68"
    assert _printed("print(max_http_connections())", 20, 20) == "1"
    soft = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 30_000)
    assert 0 < int(_printed("print(max_http_connections())", soft, soft)) <= 20_000
