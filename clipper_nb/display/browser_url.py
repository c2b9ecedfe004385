"""The URL at which a browser reaches a port of this machine."""

from __future__ import annotations

import importlib.util
import os


def browser_url(address: str) -> str:
    """Return the URL of ``host:port`` for the browser that shows the notebook.

    On JupyterHub, and wherever else a notebook server has its own URL prefix, the browser is on another machine: the
    URL then goes through jupyter-server-proxy, if that is installed beside the kernel.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix and importlib.util.find_spec("jupyter_server_proxy"):
        return f"{prefix.rstrip('/')}/proxy/{address.rpartition(':')[2]}"
    return f"http://{address}"
