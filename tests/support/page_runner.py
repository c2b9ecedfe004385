"""Runs the blocks of a page of documentation in one notebook, and compares what comes out with what the page says.

A comment after an expression says what it gives, if it is a literal (``# 3.0``, up to a comma, colon or semicolon), the
representation of an object (``# Prediction(output=7, …)``, ``# <Model 'm': …>``, where numbers may differ) or an error
(``# InvalidInputError: part of its text``). Any other comment is for the reader alone.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import os
import re
import signal
import subprocess
import sys
import tokenize
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from clipper_nb import ClipperConnection
from tests.support.clusters import eventually, new_local_manager
from tests.support.page_blocks import Block

Setup = Callable[[dict[str, Any]], None]
"""Prepares what a block presupposes, in the notebook's variables."""

_DEFAULT_URL = "http://127.0.0.1:1337"
_ADDRESS = re.compile(r"(?:127\.0\.0\.1|localhost):\d+")
_COMMAND = re.compile(r"\A((?:[^\n]*\\\n)*[^\n]*)\n?(.*)\Z", re.DOTALL)
"""A command, which a backslash continues in the next line, and what it prints."""
_COMMAND_TIMEOUT_S = 60
_CONNECT_TIMEOUT_S = 30
_OTHER_EACH_TIME = {"query_id", "id"}


class PageRunner:
    """Runs blocks one after the other.

    Parameters
    ----------
    shell : InteractiveShell
        Its variable ``conn`` is a running cluster, or a block makes one.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._values: dict[str, Any] = shell.user_ns
        self._values.update(_expect=expect, _expect_error=expect_error, _new_local_manager=new_local_manager)
        self._beside: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> None:
        """Run a block; what goes wrong names it."""
        try:
            if block.file_name:
                with open(block.file_name, "w") as file:
                    file.write(block.code)
            elif block.stays:
                self._run_beside(block.code)
            elif block.language != "python":
                self._run_commands(block.code)
            elif block.code.startswith(">>> "):
                self._run_session(block)
            else:
                self._run_cell(block)
        except BaseException as exc:
            raise AssertionError(f"{block}: {exc!r}") from exc

    def close(self) -> None:
        """End the commands that run beside the page."""
        for process in self._beside:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(_COMMAND_TIMEOUT_S)

    def _run_cell(self, block: Block) -> None:
        # Names and ports that other clusters of this machine do not have.
        code = block.code.replace("LocalContainerManager()", "_new_local_manager()")
        if _DEFAULT_URL in code:
            code = code.replace(_DEFAULT_URL, self._conn.get_query_url())
        self._shell.ast_transformers = [_Expectations(code)]
        self._shell.run_cell(code).raise_error()

    def _run_session(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(block.code, self._values, str(block), None, block.line)
        report = io.StringIO()
        result = doctest.DocTestRunner().run(test, out=report.write, clear_globs=False)
        self._values.update(test.globs)
        assert result.failed == 0, report.getvalue()

    def _run_commands(self, code: str) -> None:
        """Run each command, and compare what it prints if the page shows something."""
        for part in code.removeprefix("$ ").split("\n$ "):
            [(command, expected)] = _COMMAND.findall(part)
            done = subprocess.run(
                ["bash", "-c", command],
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=_COMMAND_TIMEOUT_S,
            )
            assert done.returncode == 0, done.stderr
            if expected.strip():
                assert _read(done.stdout) == _read(expected)

    def _run_beside(self, code: str) -> None:
        before = len(self._conn.get_all_model_replicas())
        code = code.replace("CLIPPER_PORT=7000", f"CLIPPER_PORT={self._conn.cm.clipper_rpc_port}")
        process = subprocess.Popen(["bash", "-c", code], env=self._environment(), start_new_session=True)
        self._beside.append(process)
        eventually(
            lambda: process.poll() is not None or len(self._conn.get_all_model_replicas()) > before,
            within_s=_CONNECT_TIMEOUT_S, what="the program connects",
        )  # fmt: skip
        assert process.poll() is None, "the program ended"

    def _environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "QUERY": self._conn.get_query_addr(),
            "ADMIN": self._conn.get_admin_addr(),
            "TOKEN": self._conn.cm.get_admin_token(),
            "CLIPPER_QUERY_TOKEN": self._conn.query_token or "none",
        }

    @property
    def _conn(self) -> ClipperConnection:
        conn = self._values["conn"]
        assert isinstance(conn, ClipperConnection)
        return conn


class _Expectations(ast.NodeTransformer):
    """Compares expressions of a cell with the comments on their last lines."""

    def __init__(self, code: str) -> None:
        self._comments: dict[int, str] = {}
        with contextlib.suppress(tokenize.TokenError, SyntaxError):  # of IPython's own syntax
            for token in tokenize.generate_tokens(io.StringIO(code).readline):
                if token.type == tokenize.COMMENT:
                    self._comments[token.start[0]] = token.string.removeprefix("#").strip()

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = [self._compared(each) if isinstance(each, ast.Expr) else each for each in node.body]
        return ast.fix_missing_locations(node)

    def _compared(self, statement: ast.Expr) -> ast.stmt:
        comment = self._comments.get(statement.end_lineno or 0, "")
        value = statement.value
        if re.match(r"\w+Error: ", comment):
            late = ast.Lambda(ast.arguments([], [], None, [], [], None, []), value)
            return _call("_expect_error", late, comment, statement)
        if comment:
            is_print = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print"
            return _call("_expect", value.args[0] if is_print else value, comment, statement)  # type: ignore[attr-defined]
        return statement


def _call(name: str, value: ast.expr, comment: str, statement: ast.stmt) -> ast.stmt:
    call = ast.Call(ast.Name(name, ast.Load()), [value, ast.Constant(comment)], [])
    return ast.copy_location(ast.Expr(call), statement)


def expect(value: Any, comment: str) -> None:
    """Compare a value with what a comment says of it, if it says that."""
    shown = re.match(r"(<.*>|[A-Z]\w+\(.*\))(?:[,;:. ]|$)", comment)
    if shown is not None:
        pattern = re.escape(_ADDRESS.sub("HOST:PORT", shown[1])).replace("…", ".*")
        if shown[1].startswith("<"):
            pattern = re.sub(r"\d+(?:\\\.\d+)*", r"[\\d.]+", pattern)
        assert re.fullmatch(pattern, _ADDRESS.sub("HOST:PORT", repr(value)), re.DOTALL), f"{value!r}, not {shown[1]}"
    for end in [len(comment), *(found.start() for found in re.finditer(r"[,;:]", comment))]:
        with contextlib.suppress(ValueError, SyntaxError):
            expected = ast.literal_eval(comment[:end])
            assert _plain(value) == _plain(expected), f"{value!r}, not {expected!r}"
            return


def expect_error(compute: Callable[[], Any], comment: str) -> None:
    """See that the named error is raised, and has the text in the comment."""
    name, _, text = comment.partition(": ")
    with pytest.raises(Exception, match=re.escape(text)) as raised:
        compute()
    assert raised.type.__name__ == name


def _plain(value: Any) -> Any:
    return _ADDRESS.sub("HOST:PORT", value) if isinstance(value, str) else value


def _read(text: str) -> Any:
    return _without_ids(json.loads(text))


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_ids(each) for name, each in value.items() if name not in _OTHER_EACH_TIME}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value
