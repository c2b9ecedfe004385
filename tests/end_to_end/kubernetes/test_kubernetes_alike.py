"""A cluster on Kubernetes answers the scripted session as the embedded one does, to the letter."""

from __future__ import annotations

import pytest

from tests.end_to_end.test_alike import SESSION, Entry, Transcript
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def transcripts(kind: str) -> dict[str, dict[str, list[Entry]]]:
    """Each part of the session as each kind of cluster answered it."""
    found: dict[str, dict[str, list[Entry]]] = {}
    for each in ("local", kind):
        with running_cluster(each) as conn:
            for part in SESSION:
                transcript = Transcript(conn)
                part(conn, transcript)
                found.setdefault(part.__name__, {})[each] = transcript.entries
    return found


@pytest.mark.parametrize("part", [part.__name__ for part in SESSION])
def test_kubernetes_answers_as_one_machine(transcripts: dict[str, dict[str, list[Entry]]], part: str) -> None:
    assert transcripts[part]["kubernetes"] == transcripts[part]["local"]
