"""Paths of callers are read in one way, or refused by our own error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.user_paths import user_path


def test_home_folder_is_found() -> None:
    assert user_path("folder", "~/models") == Path.home() / "models"
    assert user_path("folder", Path("models")) == Path("models")


@pytest.mark.parametrize("value", [None, "", 5, b"models", ["models"], "~no-such-user-here/x", "a\0b", "\ud800"])
def test_what_no_file_can_be_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^folder (must be the path|is .* which no file or folder can be)"):
        user_path("folder", value)
