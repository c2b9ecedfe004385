"""The document says what each caller gets of each listener; they get just that."""

from __future__ import annotations

import pytest

from tests.end_to_end.strangers.table import read_table
from tests.end_to_end.strangers.tables import DOCKER, EMBEDDED, table_of


@pytest.mark.cluster
@pytest.mark.parametrize("name", EMBEDDED)
def test_everybody_gets_what_the_document_says(name: str) -> None:
    assert table_of(name) == read_table(name)


@pytest.mark.docker
def test_everybody_gets_what_the_document_says_of_docker() -> None:
    assert table_of(DOCKER) == read_table(DOCKER)
