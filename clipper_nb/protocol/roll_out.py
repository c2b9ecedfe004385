"""A roll-out: how the share of a version is raised step by step, where it stands, and what was seen of it. (pure)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal, get_args

from msgspec import Struct

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.route import Route, RouteTarget, format_share

Status = Literal["running", "paused", "promoted", "rolled_back", "aborted", "ended"]
"""``ended``: something else took the version or the application away. The first two are under way."""
UNDER_WAY: tuple[Status, ...] = ("running", "paused")

Measure = Literal["defaults", "latency", "score"]
"""What is compared: the share of default outputs, of answers that took too long, and of bad scores."""
MEASURES: tuple[Measure, ...] = get_args(Measure)

DEFAULT_STEPS = (1.0, 10.0, 50.0, 100.0)
"""Per cent of the queries."""
DEFAULT_STEP_S = 60.0
DEFAULT_MIN_QUERIES = 50
DEFAULT_PATIENCE_S = 3600.0
FALSE_ALARM = 0.05
"""How likely an equal version is rolled back, at most, however long the roll-out takes."""
MAX_EVENTS = 100


@dataclass(frozen=True)
class RollOutEvent:
    """One thing that happened in a roll-out."""

    at: float
    """Seconds since the epoch."""
    text: str

    def __str__(self) -> str:
        return f"{datetime.fromtimestamp(self.at, timezone.utc):%H:%M:%S} {self.text}"


@dataclass(frozen=True)
class RollOutPlan:
    """What a roll-out should do."""

    app_name: str
    model_name: str
    version: str
    steps: tuple[float, ...] = DEFAULT_STEPS
    """Per cent of the queries, rising."""
    step_s: float = DEFAULT_STEP_S
    """How long each step lasts at least."""
    watch: tuple[Measure, ...] = MEASURES
    max_latency_s: float = 0.0
    """Answers that take longer are bad by the measure ``latency``."""
    min_queries: int = DEFAULT_MIN_QUERIES
    """How many answers of the version each step needs."""
    patience_s: float = DEFAULT_PATIENCE_S
    """After how long a step with fewer answers counts as paused."""

    @property
    def model_id(self) -> ModelId:
        """The version whose share is raised."""
        return ModelId(self.model_name, self.version)

    @property
    def at_least_s(self) -> float:
        """How long it takes if all goes well; reaching 100 % ends it."""
        return self.step_s * sum(step < 100 for step in self.steps)


@dataclass(frozen=True)
class RollOut:
    """A roll-out as the cluster keeps it; the application's last one is kept after its end."""

    roll_out_id: str
    plan: RollOutPlan
    before: Route
    """The application's route before, which is restored if the version is worse."""
    started_at: float
    """This and all others: seconds since the epoch."""
    status: Status = "running"
    step: int = 0
    """Position of the current step."""
    step_started_at: float = 0.0
    reason: str = ""
    """Why it paused or ended."""
    events: tuple[RollOutEvent, ...] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether it still watches the version."""
        return self.status in UNDER_WAY

    @property
    def share(self) -> float:
        """The version's share by the current step, from 0 to 1."""
        return self.plan.steps[self.step] / 100

    def route(self) -> Route:
        """Return the application's route at the current step; it keeps answers for feedback if that of before did."""
        candidate = RouteTarget(self.plan.model_name, self.share, self.plan.version)
        if self.share >= 1:
            return Route((RouteTarget(self.plan.model_name, 1.0, self.plan.version),))
        others = (
            RouteTarget(each.model_name, (1 - self.share) * self.before.share_of(each), each.version)
            for each in self.before.targets
        )
        return Route((*others, candidate), self.before.policy)


class ArmCounts(Struct, frozen=True):
    """Answers of the version, or of all others, since the roll-out began."""

    num_queries: int = 0
    num_defaults: int = 0
    num_slow: int = 0
    """Default outputs because of lateness, and answers that took longer than ``max_latency_s``."""
    num_scored: int = 0
    """Answers with feedback, also from before the roll-out."""
    num_bad_scores: int = 0

    def of(self, measure: Measure) -> tuple[int, int]:
        """Return how many answers a measure is about, and how many of them are bad."""
        if measure == "score":
            return self.num_scored, self.num_bad_scores
        return self.num_queries, self.num_defaults if measure == "defaults" else self.num_slow

    @classmethod
    def of_scores(cls, num: float, total: float) -> ArmCounts:
        """Return *num* scores from 0 to 1, whose sum is *total*, as counts; a score of 0.3 is 0.7 of a bad one."""
        num_scored = int(num)
        return cls(num_scored=num_scored, num_bad_scores=min(num_scored, max(0, round(num - total))))

    def plus(self, other: ArmCounts) -> ArmCounts:
        """Return the sum of both."""
        return ArmCounts(*(getattr(self, name) + getattr(other, name) for name in ArmCounts.__struct_fields__))

    def minus(self, earlier: ArmCounts) -> ArmCounts:
        """Return what came since, never below 0."""
        fields = ArmCounts.__struct_fields__
        return ArmCounts(*(max(0, getattr(self, name) - getattr(earlier, name)) for name in fields))


class RollOutCounts(Struct, frozen=True):
    """What was counted of both."""

    candidate: ArmCounts = ArmCounts()
    baseline: ArmCounts = ArmCounts()

    def plus(self, other: RollOutCounts) -> RollOutCounts:
        """Return the sum of both."""
        return RollOutCounts(self.candidate.plus(other.candidate), self.baseline.plus(other.baseline))

    def minus(self, earlier: RollOutCounts) -> RollOutCounts:
        """Return what came since, never below 0."""
        return RollOutCounts(self.candidate.minus(earlier.candidate), self.baseline.minus(earlier.baseline))


class RollOutProgress(Struct, frozen=True):
    """What was looked at, and how strongly it speaks against the version; kept at each look."""

    counts: RollOutCounts = RollOutCounts()
    num_at_step_start: int = 0
    """Answers of the version before the current step."""
    step: int = 0
    """The step that this is about."""
    log_evidence: Mapping[Measure, Sequence[float]] = {}
    """By measure: logarithms of the e-values of ``runtime/routing/worse_test.py``, one for each odds ratio."""


NO_PROGRESS = RollOutProgress()
"""That of a roll-out that nobody has looked at."""


class RollOutInfo(Struct, frozen=True, kw_only=True):
    """A roll-out as users see it: the answer of ``/admin/get_roll_outs``.

    Attributes
    ----------
    app_name, model : str
        ``model`` is the version whose share is raised, as ``"model:version"``.
    status : str
        ``running``; ``paused``, with too few answers; ``promoted``, it has all queries; ``rolled_back``, it was worse;
        ``aborted`` by a user; ``ended``, since the version or the application is gone or its traffic changed.
    share : float
        The version's share by the current step, from 0 to 1.
    step, steps : int, sequence of float
        The current step's position, and all steps in per cent.
    step_s : float
    started_at, step_started_at : float
        Seconds since the epoch.
    reason : str
        Why it paused or ended.
    candidate, baseline : ArmCounts
        Answers of the version, and of all others meanwhile.
    evidence : dict of str to float
        By measure, what it adds to a mean of e-values: the roll-back comes when their sum reaches ``limit``.
    limit : float
    plan : str
        How long it takes at least, and which differences it can see.
    events : sequence of RollOutEvent
    """

    roll_out_id: str
    app_name: str
    model: str
    status: Status
    share: float
    step: int
    steps: Sequence[float]
    step_s: float
    started_at: float
    step_started_at: float
    reason: str = ""
    candidate: ArmCounts = ArmCounts()
    baseline: ArmCounts = ArmCounts()
    evidence: Mapping[Measure, float] = {}
    limit: float = 0.0
    plan: str = ""
    events: Sequence[RollOutEvent] = ()

    @property
    def is_under_way(self) -> bool:
        """Whether it still watches the version."""
        return self.status in UNDER_WAY

    def __str__(self) -> str:
        counts = (
            f"{self.candidate.num_queries} answers, {self.candidate.num_defaults} default; "
            f"others {self.baseline.num_queries}, {self.baseline.num_defaults} default"
        )
        why = f" ({self.reason})" if self.reason else ""
        position = f" at {format_share(self.share)}" if self.is_under_way else ""
        return f"{self.model} for {self.app_name!r}: {self.status}{position}{why}; {counts}"
