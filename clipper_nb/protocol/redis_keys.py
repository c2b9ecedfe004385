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
clipper:shadows             hash    application name → JSON Shadow                  management frontend
clipper:roll_outs           hash    application name → JSON RollOut: its last one   management frontend
clipper:autoscaling         hash    "name:version" → JSON Autoscaling               management frontend
clipper:roll_out:<id>       string  JSON RollOutProgress                            management frontend
clipper:roll_out:<id>:n     hash    id of a query frontend's run → JSON of what it  query frontend
                                    counted since the roll-out began
clipper:roll_out_driver     string  id of the management frontend that drives       management frontend
                                    roll-outs, for some seconds
clipper:frontends           hash    frontend id → JSON FrontendPresence             query frontend
clipper:answers:<id>        list    JSON QueryHistory, ShadowReport or null, for    query frontend
                                    some seconds
clipper:counts              hash    id of a frontend's run → what it has counted;   query frontend
                                    "" → the sum over those that have ended
clipper:counts:merged       zset    runs that are in that sum, by when they came    query frontend
                                    to be
clipper:frontend_starts     hash    index of a frontend → how often it started      query frontend
clipper:feedback:<book>     hash    "q<id>" → JSON Answered; "k<digest>" and        query frontend
                                    "i<digest>" → id of the last query with a key
                                    or an input; "c<id>": its feedback is counted
clipper:feedback:<book>     zset    ids of these by the instant of the answer       query frontend
…:order
clipper:scores:<book>       hash    target → number of scores, their sum, that of   query frontend
                                    score / probability, and their instant
clipper:scores:<book>       hash    the same for one key of requests                query frontend
…:<digest>
clipper:scores:<book>       zset    digests of these keys by their last feedback    query frontend
…:groups
==========================  ======  ==============================================  ====================

Channels: ``clipper:configuration`` (a revision was written), ``clipper:presence`` (a frontend announced itself),
``clipper:questions`` ("<id> <query id>": what happened to that query?; "<id> shadow <application>": what did its shadow
answer?).
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
        self.shadows = f"{prefix}:shadows"
        self.roll_outs = f"{prefix}:roll_outs"
        self.autoscaling = f"{prefix}:autoscaling"
        self.roll_out_driver = f"{prefix}:roll_out_driver"
        self._roll_out = f"{prefix}:roll_out"
        self.frontends = f"{prefix}:frontends"
        self.counts = f"{prefix}:counts"
        self.merged_runs = f"{prefix}:counts:merged"
        self.configuration_channel = f"{prefix}:configuration"
        self.presence_channel = f"{prefix}:presence"
        self.question_channel = f"{prefix}:questions"
        self.frontend_starts = f"{prefix}:frontend_starts"
        self._answers = f"{prefix}:answers"
        self._feedback = f"{prefix}:feedback"
        self._scores = f"{prefix}:scores"

    def answers_to(self, question_id: str) -> str:
        """Return the channel of the answers to one question."""
        return f"{self._answers}:{question_id}"

    def feedback_answers(self, book: str) -> str:
        """Return the key of the answers that are kept for their feedback."""
        return f"{self._feedback}:{book}"

    def feedback_order(self, book: str) -> str:
        """Return the key of the same answers by their instants."""
        return f"{self._feedback}:{book}:order"

    def feedback_scores(self, book: str) -> str:
        """Return the key of the scores; those of a group are at the same key with its digest after a colon."""
        return f"{self._scores}:{book}"

    def feedback_groups(self, book: str) -> str:
        """Return the key of the groups that have scores."""
        return f"{self._scores}:{book}:groups"

    def roll_out_progress(self, roll_out_id: str) -> str:
        """Return the key of what was looked at in one roll-out."""
        return f"{self._roll_out}:{roll_out_id}"

    def roll_out_counts(self, roll_out_id: str) -> str:
        """Return the key of what query frontends counted in one roll-out."""
        return f"{self._roll_out}:{roll_out_id}:n"


PRESENCE_INTERVAL_S = 2.0
"""How often a query frontend announces itself when nothing changes."""
PRESENCE_TIMEOUT_S = 6.0
"""A query frontend that has been silent for this long, while Redis could be read, is no longer waited for."""

LEASE_S = 4.0
"""How long a query frontend acts on its configuration, from the start of its last check that it is current.

Shorter than ``PRESENCE_TIMEOUT_S``: a frontend that is no longer waited for does not answer from an old configuration.
"""

ROLL_OUT_KEPT_S = 7 * 86_400
"""How long counts and progress of a roll-out are kept after they changed last."""
DRIVER_LEASE_S = 3.0
"""How long a management frontend that drives roll-outs may be silent before another drives them."""

NUM_KEPT_CHANGES = 1000
"""How many changes are remembered by id, so that a repeated request changes the configuration only once."""
NUM_KNOWN_MERGED_RUNS = 1000
"""Of how many runs of query frontends, whose counts were merged, the ids are known: they are refused if they go on."""
NUM_KEPT_DIFFERENCES = 256
"""How many differences are kept at least; a frontend that missed more reads the whole configuration again."""
