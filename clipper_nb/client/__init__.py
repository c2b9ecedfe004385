"""Predict from a program without the notebook: ``Client``, and ``AsyncClient`` for asyncio.

>>> from clipper_nb.client import Client
>>> with Client("http://127.0.0.1:1337") as client:
...     client.predict("digits", x).output
7
"""

from __future__ import annotations

from clipper_nb.client.async_client import AsyncClient
from clipper_nb.client.sync_client import Client

__all__ = ["AsyncClient", "Client"]
