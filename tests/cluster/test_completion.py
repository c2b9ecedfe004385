"""IPython's own completer, with handles behind keys."""

from __future__ import annotations

import sys

import IPython
import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter

from clipper_nb.cluster.completion import let_handles_complete
from clipper_nb.testing import RecordingContainerManager
from tests.support.management_frontend import ManagementFrontend, application, connection_to, version


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('conn.endpoints["', ["net"]),
        ('conn.endpoints["net"].versions["', ["v1", "2"]),
        ('conn.models["net"]["', ["v1", "2"]),
        ('conn.models["net"]["v', ["v1"]),
        ('conn.apps["n', ["net"]),
    ],
)
@pytest.mark.parametrize("uses_jedi", [True, False])
def test_names_and_versions_complete_with_tab(text: str, expected: list[str], uses_jedi: bool) -> None:
    frontend = ManagementFrontend(
        applications=[application("net", "net")],
        versions=[version("net", "v1", is_current=False, registered_at=1.0), version("net", "2", registered_at=2.0)],
    )
    conn = connection_to(frontend, RecordingContainerManager())
    completer = IPCompleter(namespace={"conn": conn}, use_jedi=uses_jedi)
    with provisionalcompleter():
        found = [each.text.strip("'\"]") for each in completer.completions(text, len(text))]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("shell", [None, object()])
def test_evaluation_is_imported_where_a_shell_runs(shell: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell imports it at its first completion, which is after the connection was made."""
    monkeypatch.delitem(sys.modules, "IPython.core.guarded_eval", raising=False)
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    let_handles_complete()
    assert ("IPython.core.guarded_eval" in sys.modules) is (shell is not None)
