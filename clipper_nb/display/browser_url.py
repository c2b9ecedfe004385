"""Where a browser finds what listens on this machine."""

from __future__ import annotations

import importlib.util
import os


def browser_url(address: str) -> str:
    """Return the URL of ``host:port`` for the browser that shows the notebook.

    On JupyterHub, and wherever else a notebook server has a prefix of its own, the browser is on another machine:
    there it goes through jupyter-server-proxy, if that is installed beside the kernel.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix and importlib.util.find_spec("jupyter_server_proxy"):
        return f"{prefix.rstrip('/')}/proxy/{address.rpartition(':')[2]}"
    return f"http://{address}"
