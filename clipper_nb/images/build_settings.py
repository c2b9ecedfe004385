"""The parts of the notebook's environment that reach a build: pip's index and proxies, and the network. (pure)"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from clipper_nb.images import templates
from clipper_nb.images.install_steps import SECRET_SETTINGS, SECRET_SETTINGS_MARK

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY")
_LOOPBACK = re.compile(r"(?:\w+://)?(?:[^/@]*@)?(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d*)?(?:/.*)?", re.IGNORECASE)
"""An address of this machine itself; proxies are often written without ``http://``."""
_HAS_CREDENTIALS = re.compile(r"://[^/\s]*@")


def network_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the build arguments for pip and proxies, and the host's network when one of them is on loopback."""
    settings = {name: variables[name] for name in templates.BUILD_ARGUMENTS if variables.get(name)}
    secret = {name: value for name, value in settings.items() if _HAS_CREDENTIALS.search(value)}
    proxies = {
        spelling: variables[spelling]
        for name in _PROXY_VARIABLES
        for spelling in (name, name.lower())
        if variables.get(spelling)
    }
    is_local = any(
        _LOOPBACK.fullmatch(word)
        for name, value in {**settings, **proxies}.items()
        if not name.upper().startswith("NO_")
        for word in value.split()
    )
    arguments = {**{name: value for name, value in settings.items() if name not in secret}, **proxies}
    if secret:
        arguments[SECRET_SETTINGS] = SECRET_SETTINGS_MARK + base64.b64encode(json.dumps(secret).encode()).decode()
    return {"buildargs": arguments, "network_mode": "host" if is_local else None}
