"""A version that is asked beside those that answer an application's queries, and what came of it. (pure)"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from msgspec import Struct

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.names import ModelId, parse_model_id

NUM_SAMPLES = 50
"""How many answers of each kind, equal and different ones, each query frontend keeps: the last ones."""
MAX_KEPT_SIZE_BYTES = 2048
"""Larger inputs are left out of the samples, and longer outputs are cut."""


@dataclass(frozen=True)
class Shadow:
    """The version that is asked with an application's inputs besides, and whose answers no client sees."""

    model_name: str
    version: str
    share: float = 1.0
    """Of the queries, from 0 (excluded) to 1."""
    set_at: float = 0.0
    """Seconds since the epoch; a shadow that is set again begins a new report."""

    @property
    def model_id(self) -> ModelId:
        """The version that is asked."""
        return ModelId(self.model_name, self.version)


class ShadowSample(Struct, frozen=True):
    """One input with both answers.

    Attributes
    ----------
    at : float
        Seconds since the epoch, when the reply was sent.
    input : object
        As a predict request has it; ``None`` if it is larger than 2 kB.
    model : str or None
        The version that replied, as ``"model:version"``.
    output, shadow_output : str or None
        ``None`` in place of a default output; cut after 2,048 characters.
    agrees : bool or None
        Whether both outputs are the same, numbers within a tolerance; ``None`` unless there are two.
    latency_s, shadow_latency_s : float
        From the query to its answer; from sending the shadow's query to its answer.
    reason, shadow_reason : str or None
        Why there was a default output, and why the shadow has no answer.
    """

    at: float
    input: Any
    model: str | None
    output: str | None
    shadow_output: str | None
    agrees: bool | None
    latency_s: float
    shadow_latency_s: float
    reason: str | None = None
    shadow_reason: str | None = None


class ShadowReport(Struct, frozen=True, kw_only=True):
    """What an application's shadow answered since it was set.

    Attributes
    ----------
    app_name : str
    model : str
        The shadow, as ``"model:version"``.
    share : float
        Of the queries, from 0 to 1.
    num_asked : int
        Queries that were chosen for the shadow.
    num_dropped : int
        Those of them that were never sent to it: there was too much to do, or it had no replica.
    num_failed : dict of str to int
        Those that it was sent and did not answer, by reason.
    num_compared, num_agreed : int
        Those with two outputs, and those whose outputs are the same.
    sum_latency_s, sum_shadow_latency_s : float
        Of those that were compared.
    samples : sequence of ShadowSample
        The last ones, oldest first; different answers are kept longer than equal ones.
    """

    app_name: str
    model: str
    share: float
    num_asked: int = 0
    num_dropped: int = 0
    num_failed: Mapping[str, int] = {}
    num_compared: int = 0
    num_agreed: int = 0
    sum_latency_s: float = 0.0
    sum_shadow_latency_s: float = 0.0
    samples: Sequence[ShadowSample] = ()

    @property
    def agreement(self) -> float | None:
        """The share of the compared outputs that are the same; ``None`` before the first."""
        return self.num_agreed / self.num_compared if self.num_compared else None


def merge_reports(reports: Sequence[ShadowReport]) -> ShadowReport:
    """Return the report of one shadow from those of several query frontends, at least one."""
    first = reports[0]
    reasons = sorted({reason for report in reports for reason in report.num_failed})
    return ShadowReport(
        app_name=first.app_name,
        model=first.model,
        share=first.share,
        num_asked=sum(report.num_asked for report in reports),
        num_dropped=sum(report.num_dropped for report in reports),
        num_failed={reason: sum(report.num_failed.get(reason, 0) for report in reports) for reason in reasons},
        num_compared=sum(report.num_compared for report in reports),
        num_agreed=sum(report.num_agreed for report in reports),
        sum_latency_s=math.fsum(report.sum_latency_s for report in reports),
        sum_shadow_latency_s=math.fsum(report.sum_shadow_latency_s for report in reports),
        samples=sorted((sample for report in reports for sample in report.samples), key=lambda sample: sample.at),
    )


def check_share(share: object) -> float:
    """Return the share of the queries that a shadow is asked.

    Raises
    ------
    InvalidRequestError
        It is no number above 0, up to 1.
    """
    is_number = isinstance(share, Real) and not isinstance(share, bool)
    if is_number and 0 < share <= 1:  # type: ignore[operator]
        return float(share)  # type: ignore[arg-type]
    raise InvalidRequestError(
        f"share must be a number above 0, up to 1, which is every query; it is {share!r}. To end a shadow, pass None "
        "in place of the version."
    )


def check_pinned(what: str, target: object) -> ModelId:
    """Return the version in ``"model:version"``; *what* is the call that needs it.

    Raises
    ------
    InvalidRequestError
        It is no text, or names no version.
    """
    if isinstance(target, str) and ":" in target:
        return parse_model_id(target)
    raise InvalidRequestError(f'{what} needs a version, as text like "digits-net:2"; it is {target!r}.')
