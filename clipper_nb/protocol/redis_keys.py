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

LAYOUT = "clipper:layout"
REVISION = "clipper:revision"
LAST_CHANGE = "clipper:last_change"
APPLICATIONS = "clipper:applications"
VERSIONS = "clipper:versions"
CURRENT_VERSIONS = "clipper:current_versions"
LINKS = "clipper:links"
FRONTENDS = "clipper:frontends"

CONFIGURATION_CHANNEL = "clipper:configuration"
PRESENCE_CHANNEL = "clipper:presence"

PRESENCE_INTERVAL_S = 2.0
"""How often a query frontend speaks when nothing happens."""
PRESENCE_TIMEOUT_S = 6.0
"""A query frontend that has not spoken for this long, while Redis could be read, is no longer waited for."""
