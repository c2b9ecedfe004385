"""Where the configuration lives in Redis. Layout version 1; changed in one transaction per admin call.

==========================  ======  ==============================================  ====================
key                         type    holds                                           written by
==========================  ======  ==============================================  ====================
clipper:layout              string  "1"                                             management frontend
clipper:revision            string  number of changes so far                        management frontend
clipper:last_change         string  token of the last change                        management frontend
clipper:applications        hash    application name → JSON Application             management frontend
clipper:versions            hash    "name:version" → JSON ModelVersion              management frontend
clipper:current_versions    hash    model name → version                            management frontend
clipper:links               hash    application name → model name                   management frontend
clipper:frontends           hash    frontend id → JSON FrontendPresence             query frontend
==========================  ======  ==============================================  ====================

Channels: ``clipper:configuration`` (a revision was written), ``clipper:presence`` (a frontend spoke).
"""

from __future__ import annotations

LAYOUT_VERSION = "1"


class RedisKeys:
    """The names of one cluster's keys and channels.

    Parameters
    ----------
    prefix : str
        ``clipper``, unless several clusters share one Redis.
    """

    def __init__(self, prefix: str = "clipper") -> None:
        self.layout = f"{prefix}:layout"
        self.revision = f"{prefix}:revision"
        self.last_change = f"{prefix}:last_change"
        self.applications = f"{prefix}:applications"
        self.versions = f"{prefix}:versions"
        self.current_versions = f"{prefix}:current_versions"
        self.links = f"{prefix}:links"
        self.frontends = f"{prefix}:frontends"
        self.configuration_channel = f"{prefix}:configuration"
        self.presence_channel = f"{prefix}:presence"


PRESENCE_INTERVAL_S = 2.0
"""How often a query frontend speaks when nothing happens."""
PRESENCE_TIMEOUT_S = 6.0
"""A query frontend that has not spoken for this long, while Redis could be read, is no longer waited for."""
