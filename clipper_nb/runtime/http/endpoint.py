"""The interface through which a connection passes a predict request to its endpoint."""

from __future__ import annotations

from collections.abc import Callable

Respond = Callable[[int, bytes], None]
"""Called with the status and the JSON body of the reply."""
Cancel = Callable[[], None]
"""Called when the client no longer waits for the reply."""
Endpoint = Callable[[str, bytes, float, Respond], "Cancel | None"]
"""Called with the application's name, the body, the instant of arrival (``time.monotonic``), and ``respond``."""
