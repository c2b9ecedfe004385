"""What is said of a frontend that does not answer."""

from __future__ import annotations

import pytest

from clipper_nb.clients.unreachable import Unreachable
from clipper_nb.errors import ClusterUnreachableError

ERRORS = Unreachable("query frontend", "http://h:1")


@pytest.mark.parametrize(
    ("error", "words", "is_passing"),
    [
        (ERRORS.too_late("POST", "/a", 5.12345), "has not answered POST /a within 5.123 s", False),
        (ERRORS.broken("GET", "/a"), "broke the connection during GET /a", True),
        (ERRORS.no_proof("unknown authority"), "does not prove itself over TLS (unknown authority)", False),
        (ERRORS.no_connection(OSError()), "cannot be reached (OSError)", True),
    ],
)
def test_errors_name_the_server_and_whether_it_may_come_back(
    error: ClusterUnreachableError, words: str, is_passing: bool
) -> None:
    assert str(error).startswith(f"The query frontend at http://h:1 {words}")
    assert error.is_passing is is_passing
