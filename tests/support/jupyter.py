"""JupyterLab and Notebook 7 in Chromium: a server with settings of its own, and a page that may reach nothing else."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from jupyter_client import BlockingKernelClient
from playwright.sync_api import Browser, Page, Route, sync_playwright

Interface = Literal["lab", "notebook"]

_TOKEN = "token-of-the-tests"
_START_TIMEOUT_S = 60.0
_PAGE_TIMEOUT_MS = 90_000
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
_THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
# Notebook 7 logs this about its own plug-ins.
_HARMLESS = ("Cannot read properties of undefined (reading 'schema')",)


class JupyterServer:
    """One server; *folder* has its notebooks and all its settings, and *prefix* is what its paths begin with."""

    def __init__(self, folder: Path, interface: Interface, prefix: str = "/") -> None:
        self.folder = folder
        self.prefix = prefix
        self.interface = interface
        self.port = _free_port()
        self._runtime = folder / ".runtime"

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Call the server's REST interface."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{self.prefix}api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {_TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def url(self, notebook: str) -> str:
        """Return the page of a notebook."""
        path = {"lab": "lab/tree/{}?reset&", "notebook": "notebooks/{}?"}[self.interface].format(notebook)
        return f"http://127.0.0.1:{self.port}{self.prefix}{path}token={_TOKEN}"

    def kernel_id(self, notebook: str) -> str:
        """Return the kernel of an open notebook."""
        return next(s["kernel"]["id"] for s in self.api("sessions") if s["path"] == notebook)

    def evaluate(self, notebook: str, expression: str) -> Any:
        """Evaluate an expression in the notebook's kernel, behind the page's back; it must give JSON."""
        client = BlockingKernelClient(connection_file=str(self._runtime / f"kernel-{self.kernel_id(notebook)}.json"))
        client.load_connection_file()
        # A heartbeat that is stopped before its thread has begun opens sockets until there are no more.
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        try:
            dumps = f"__import__('json').dumps({expression})"
            sent = client.execute("", silent=True, store_history=False, user_expressions={"result": dumps})
            while True:
                message = client.get_shell_msg(timeout=60)
                if message["parent_header"].get("msg_id") == sent:
                    break
        finally:
            client.stop_channels()
        result = message["content"]["user_expressions"]["result"]
        assert result["status"] == "ok", result
        return json.loads(ast.literal_eval(result["data"]["text/plain"]))

    def command(self) -> list[str]:
        """Return what starts it."""
        application = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[self.interface]
        return [
            sys.executable, "-m", "jupyter", self.interface, "--no-browser", "--ip=127.0.0.1", f"--port={self.port}",
            "--ServerApp.port_retries=0", f"--IdentityProvider.token={_TOKEN}", "--allow-root",
            f"--ServerApp.root_dir={self.folder}", f"--{application}.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly", f"--ServerApp.base_url={self.prefix}",
        ]  # fmt: skip

    def environment(self, theme: str) -> dict[str, str]:
        """Return the environment, with settings for *theme* written."""
        settings = self.folder / ".settings" / "@jupyterlab"
        _write(settings / "apputils-extension" / "notification.jupyterlab-settings",
               {"fetchNews": "false", "checkForUpdates": False})  # fmt: skip
        _write(settings / "apputils-extension" / "themes.jupyterlab-settings", {"theme": _THEMES[theme]})
        _write(settings / "notebook-extension" / "tracker.jupyterlab-settings", {"windowingMode": "none"})
        folders = {
            "JUPYTER_CONFIG_DIR": ".config",
            "JUPYTER_DATA_DIR": ".data",
            "JUPYTER_RUNTIME_DIR": ".runtime",
            "JUPYTERLAB_SETTINGS_DIR": ".settings",
            "JUPYTERLAB_WORKSPACES_DIR": ".workspaces",
            "IPYTHONDIR": ".ipython",
        }
        variables = {name: str(self.folder / folder) for name, folder in folders.items()}
        if self.prefix != "/":
            variables["JUPYTERHUB_SERVICE_PREFIX"] = self.prefix  # as JupyterHub has it
        return {**os.environ, **variables}


@contextlib.contextmanager
def running_jupyter(
    folder: Path, interface: Interface, theme: str = "light", *, prefix: str = "/"
) -> Iterator[JupyterServer]:
    """Give a server that answers; afterwards it and its kernels are gone."""
    server = JupyterServer(folder, interface, prefix)
    environment = server.environment(theme)
    with (folder / "jupyter.log").open("wb") as log:
        process = subprocess.Popen(server.command(), env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            wait_until(lambda: _answers(server), _START_TIMEOUT_S, "Jupyter answers")
            yield server
        finally:
            with contextlib.suppress(OSError):
                for session in server.api("sessions"):
                    server.api(f"sessions/{session['id']}", "DELETE")
            process.terminate()
            process.wait(30)


class NotebookPage:
    """A notebook in the browser.

    Attributes
    ----------
    page : Page
        Playwright's.
    requests_elsewhere, errors : list of str
        URLs that are not on this machine, which were asked for and refused, and errors of the page's scripts.
    """

    def __init__(self, page: Page, server: JupyterServer, notebook: str) -> None:
        self.page = page
        self.server = server
        self.notebook = notebook
        self.requests_elsewhere: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(_PAGE_TIMEOUT_MS)
        page.context.route("**/*", self._guard)
        page.on("pageerror", self._note_error)

    def open(self) -> None:
        """Open the notebook, and wait until its kernel answers."""
        self.page.goto(self.server.url(self.notebook), wait_until="domcontentloaded")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Notebook .jp-Cell")
        # The kernel is said to be idle before there is one: ask the application instead.
        self.page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
        self.page.evaluate(
            """async () => { const panel = window.jupyterapp.shell.currentWidget;
                await panel.context.ready; await panel.sessionContext.ready;
                await panel.sessionContext.session.kernel.info; }"""
        )

    def run_all(self) -> None:
        """Run all cells, and wait for the last; a cell that raises fails the test."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        self.page.wait_for_function(
            """() => document.querySelector('.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]')
                || [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')]
                    .every((prompt) => /\\[\\d+\\]/.test(prompt.textContent))"""
        )
        errors = self.page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]')
        assert errors.count() == 0, errors.first.inner_text()

    def run_cell(self, text: str) -> None:
        """Run the code cell with *text* in it once more."""
        self.page.evaluate(
            """async (text) => { const { content } = window.jupyterapp.shell.currentWidget;
                content.activeCellIndex = content.widgets.findIndex(
                    ({ model }) => model.type === 'code' && model.sharedModel.getSource().includes(text));
                await window.jupyterapp.commands.execute('notebook:run-cell'); }""",
            text,
        )

    def restart_kernel(self) -> None:
        """Restart the kernel, as the menu does."""
        self.page.evaluate(
            "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
        )

    def change_theme(self, theme: str) -> None:
        """Change the colours, as the menu does; returns when they are there."""
        self.page.evaluate(
            "async (theme) => { await window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }",
            _THEMES[theme],
        )
        shown = f'body[data-jp-theme-light="{json.dumps(theme == "light")}"]'
        self.page.wait_for_selector(shown, state="attached")

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save'); }")

    def evaluate(self, expression: str) -> Any:
        """Evaluate an expression in the kernel; it must give JSON."""
        return self.server.evaluate(self.notebook, expression)

    def _guard(self, route: Route) -> None:
        url = route.request.url
        if url.startswith((f"http://127.0.0.1:{self.server.port}/", "data:", "blob:")):
            route.continue_()
        else:
            self.requests_elsewhere.append(url)
            route.abort()

    def _note_error(self, error: Any) -> None:
        if not any(text in str(error) for text in _HARMLESS):
            self.errors.append(str(error)[:500])


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Give a browser; there can be one at a time."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_find_chromium(), headless=True, args=_CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def open_notebook(
    browser: Browser, server: JupyterServer, notebook: str, *, width: int = 1280
) -> Iterator[NotebookPage]:
    """Give a notebook that is open in the browser."""
    context = browser.new_context(viewport={"width": width, "height": 1000}, reduced_motion="reduce")
    try:
        page = NotebookPage(context.new_page(), server, notebook)
        page.open()
        yield page
    finally:
        context.close()


def wait_until(is_true: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until *is_true*; the sentence of a failure is *what*."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)


def _find_chromium() -> str:
    found = shutil.which("chromium")
    assert found, "Chromium is not installed: scripts/test-tools"
    return found


def _answers(server: JupyterServer) -> bool:
    try:
        server.api("status")
    except OSError:
        return False
    return True


def _write(path: Path, settings: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port
