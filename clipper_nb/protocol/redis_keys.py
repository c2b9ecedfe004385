"""The keys of the configuration in Redis. Layout version 2; each admin call changes it in one transaction.

==========================  ======  ==============================================  ====================
key                         type    holds                                           written by
==========================  ======  ==============================================  ====================
clipper:layout              string  "2"                                             management frontend
clipper:revision            string  number of changes so far                        management frontend
clipper:changes             zset    ids of the last changes, by revision            management frontend
clipper:differences         stream  "revision-0" → id of the change, JSON of what   management frontend
                                    it changed: the last few hundred
clipper:applications        hash    application name → JSON Application             management frontend
clipper:versions            hash    "name:version" → JSON ModelVersion              management frontend
clipper:current_versions    hash    model name → version                            management frontend
clipper:links               hash    application name → model name, or JSON Route    management frontend
clipper:num_replicas        hash    "name:version" → replicas that should run       management frontend
clipper:claims              hash    "name:version" → JSON Claim                     management frontend
clipper:tokens              hash    "application:name" → JSON ApplicationToken       management frontend
clipper:frontends           hash    frontend id → JSON FrontendPresence             query frontend
clipper:own_metrics         hash    frontend id → JSON of what models counted       query frontend
clipper:answers:<id>        list    JSON QueryHistory or null, for some seconds     query frontend
==========================  ======  ==============================================  ====================

Channels: ``clipper:configuration`` (a revision was written), ``clipper:presence`` (a frontend announced itself),
``clipper:questions`` ("<id> <query id>": what happened to that query?).
"""

from __future__ import annotations

LAYOUT_VERSION = "2"


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
        self.changes = f"{prefix}:changes"
        self.differences = f"{prefix}:differences"
        self.applications = f"{prefix}:applications"
        self.versions = f"{prefix}:versions"
        self.current_versions = f"{prefix}:current_versions"
        self.routes = f"{prefix}:links"
        self.num_replicas = f"{prefix}:num_replicas"
        self.claims = f"{prefix}:claims"
        self.tokens = f"{prefix}:tokens"
        self.frontends = f"{prefix}:frontends"
        self.own_metrics = f"{prefix}:own_metrics"
        self.configuration_channel = f"{prefix}:configuration"
        self.presence_channel = f"{prefix}:presence"
        self.question_channel = f"{prefix}:questions"
        self._answers = f"{prefix}:answers"

    def answers_to(self, question_id: str) -> str:
        """Return the key of the answers to one question."""
        return f"{self._answers}:{question_id}"


PRESENCE_INTERVAL_S = 2.0
"""How often a query frontend announces itself when nothing changes."""
PRESENCE_TIMEOUT_S = 6.0
"""A query frontend that has been silent for this long, while Redis could be read, is no longer waited for."""

LEASE_S = 4.0
"""How long a query frontend acts on its configuration, from the start of its last check that it is current.

Shorter than ``PRESENCE_TIMEOUT_S``: a frontend that is no longer waited for does not answer from an old configuration.
"""

ANSWERS_KEPT_S = 10
"""How long answers about a query are kept that nobody has read."""

NUM_KEPT_CHANGES = 1000
"""How many changes are remembered by id, so that a repeated request changes the configuration only once."""
NUM_KEPT_DIFFERENCES = 256
"""How many differences are kept at least; a frontend that missed more reads the whole configuration again."""
