"""The parts of the notebook's environment that reach a build: pip's index and proxies, and the network. (pure)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clipper_nb.images import templates

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY")
_LOOPBACK = re.compile(r"(?:\w+://)?(?:[^/@]*@)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d*)?(?:/.*)?", re.IGNORECASE)
"""An address of this machine itself; proxies are often written without ``http://``."""


def network_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the build arguments for pip and proxies, and the host's network when one of them is on loopback."""
    arguments = {name: variables[name] for name in templates.BUILD_ARGUMENTS if variables.get(name)}
    for name in _PROXY_VARIABLES:
        for spelling in (name, name.lower()):
            if variables.get(spelling):
                arguments[spelling] = variables[spelling]
    is_local = any(
        _LOOPBACK.fullmatch(word)
        for name, value in arguments.items()
        if not name.upper().startswith("NO_")
        for word in value.split()
    )
    return {"buildargs": arguments, "network_mode": "host" if is_local else None}
