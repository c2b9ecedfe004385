"""How a connection hands a predict request to what answers it."""

from __future__ import annotations

from collections.abc import Callable

Respond = Callable[[int, bytes], None]
"""Takes the status and the JSON body of the reply."""
Cancel = Callable[[], None]
"""Tells that nobody waits for the reply any more."""
Endpoint = Callable[[str, bytes, float, Respond], "Cancel | None"]
"""Takes the application's name, the body, the instant of arrival (``time.monotonic``), and how to respond."""
