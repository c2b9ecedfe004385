"""An R notebook: the R package in R's own kernel, where no Python is written."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import start_new_async_kernel

from tests.support.clusters import eventually, new_cluster_name

pytestmark = [pytest.mark.cluster, pytest.mark.r, pytest.mark.slow, pytest.mark.timeout(180)]

PACKAGE = Path(__file__).parents[2] / "r" / "clippernb"
ARGV = ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R's kernel is known to Jupyter, and the package to R."""
    library, kernels = tmp_path / "library", tmp_path / "kernels" / "ir"
    library.mkdir()
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(json.dumps({"argv": ARGV, "display_name": "R", "language": "R"}))
    subprocess.run(["R", "CMD", "INSTALL", f"--library={library}", PACKAGE], check=True, capture_output=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("R_LIBS", str(library))
    monkeypatch.setenv("CLIPPERNB_PYTHON", sys.executable)


@contextlib.asynccontextmanager
async def _kernel() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Give what runs a cell and returns what it shows; with ``interrupt_after_s`` as a user who loses patience."""
    manager, client = await start_new_async_kernel(kernel_name="ir", startup_timeout=60)

    async def run(code: str, interrupt_after_s: float | None = None) -> str:
        shown: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] in ("stream", "display_data", "error"):
                shown.append(content.get("text") or content.get("evalue") or content["data"]["text/plain"])

        interrupt = None
        if interrupt_after_s is not None:
            interrupt = asyncio.ensure_future(_later(interrupt_after_s, manager.interrupt_kernel))
        await client.execute_interactive(code, output_hook=take, timeout=100)
        if interrupt is not None:
            await interrupt
        return "\n".join(shown)

    try:
        yield run
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()
        manager.context.destroy()


async def _later(delay_s: float, call: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)
    await call()


def test_r_notebook_from_a_function_to_an_endpoint(environment: None) -> None:
    """Also an interrupt, which ends the cell's call alone, and the end of the kernel, which ends the cluster."""
    name = new_cluster_name()
    asyncio.run(_notebook(name))
    eventually(lambda: not _processes_of(name), within_s=40, what="the cluster has ended with its kernel")


async def _notebook(name: str) -> None:
    start = f"conn <- start_clipper('{name}', clipper_query_port = 0, clipper_management_port = 0); conn"
    async with _kernel() as cell:
        assert name in await cell(f"library(clippernb); {start}")
        await cell("fit <- lm(mpg ~ wt, mtcars); fuel <- function(rows) predict(fit, rows)")
        steps = await cell("create_endpoint(conn, 'fuel', fuel, mtcars['wt'], slo_micros = 20e6)")
        assert "Deploy fuel:1" in steps
        assert "TRUE" in await cell("identical(predict(conn, 'fuel', mtcars), unname(fuel(mtcars)))")
        assert "not a valid model name" in await cell("build_and_deploy_model(conn, 'No Name', 1, fuel, mtcars['wt'])")
        await cell("slow <- function(x) { Sys.sleep(if (x[[1]] > 0) 90 else 0); 1 }")
        await cell("create_endpoint(conn, 'slow', slow, -1, slo_micros = 100e6)")
        assert "interrupted" in await cell("predict(conn, 'slow', 1)", interrupt_after_s=2.0)
        assert "fuel" in await cell("get_all_apps(conn)")
        assert _processes_of(name)


def _processes_of(cluster_name: str) -> list[str]:
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if cluster_name in command]
