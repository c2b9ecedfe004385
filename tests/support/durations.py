"""``--durations-file=FILE`` writes what took half a second or more: files by their sum, then tests, longest first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

SHORTEST_S = 0.5


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--durations-file", type=Path, help="write what took half a second or more to this file")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--durations-file")
    if path is not None and not hasattr(config, "workerinput"):  # workers of pytest-xdist report to the first process
        config.pluginmanager.register(_Durations(path))


class _Durations:
    """Collects the phases of tests: set-up, call and tear-down count apart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: Counter[str] = Counter()
        self._phases: list[tuple[float, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._files[report.nodeid.partition("::")[0]] += report.duration
        self._phases.append((report.duration, f"{report.when:8} {report.nodeid}"))

    def pytest_sessionfinish(self) -> None:
        files = [(duration_s, name) for name, duration_s in self._files.items()]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("\n\n".join(map(_format, (files, self._phases))) + "\n")


def _format(durations: list[tuple[float, str]]) -> str:
    long = sorted((entry for entry in durations if entry[0] >= SHORTEST_S), reverse=True)
    return "\n".join(f"{duration_s:8.2f} s  {name}" for duration_s, name in long)
