"""Memory that a message needed is there for the next one."""

import subprocess
import sys

import pytest

_COUNT = """
import resource
from clipper_nb.runtime import malloc
{call}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def message():
    kept = [b"x" * {size} for _ in range(4)]
message()
before = faults()
for _ in range(200):
    message()
print((faults() - before) / 200)
"""


def faults_per_message(call: str, size_bytes: int) -> float:
    code = _COUNT.format(call=call, size=size_bytes)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)


@pytest.mark.parametrize("call", ["malloc.keep_small_blocks()", "malloc.keep_blocks()"])
def test_an_image_costs_no_new_pages(call: str) -> None:
    assert faults_per_message(call, 150_000) < 1


def test_a_frontend_gives_large_bodies_back() -> None:
    assert faults_per_message("malloc.keep_small_blocks()", 2_000_000) > 100


def test_a_replica_keeps_what_its_model_uses() -> None:
    assert faults_per_message("malloc.keep_blocks()", 8_000_000) < 1
