"""The URL at which a browser reaches a port of this machine."""

from __future__ import annotations

import importlib.util
import os
from urllib.parse import urlsplit

_HUB_URLS = ("JUPYTERHUB_PUBLIC_URL", "JUPYTERHUB_PUBLIC_HUB_URL", "JUPYTERHUB_HOST")


def browser_url(url: str) -> str:
    """Return a frontend's URL, ``http://host:port`` or ``https://``, for the browser that shows the notebook.

    On JupyterHub, and wherever else a notebook server has its own URL prefix, the browser is on another machine: the
    URL then goes through jupyter-server-proxy, if that is installed beside the kernel and the frontend speaks HTTP,
    which is all that the proxy speaks.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if prefix and url.startswith("http:") and importlib.util.find_spec("jupyter_server_proxy"):
        return f"{prefix.rstrip('/')}/proxy/{url.rpartition(':')[2]}"
    return url


def hub_hosts() -> tuple[str, ...]:
    """Return the names of the JupyterHub that this notebook runs on, as far as it says them.

    jupyter-server-proxy passes on the name that the browser asked for, which is the hub's.
    """
    hosts = [urlsplit(os.environ.get(name, "")).hostname for name in _HUB_URLS]
    return tuple(dict.fromkeys(host for host in hosts if host))
