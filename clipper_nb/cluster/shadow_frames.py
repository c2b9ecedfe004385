"""What a shadow answered, as a data frame."""

from __future__ import annotations

from typing import Any

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.shadow import ShadowReport

_COLUMNS = (
    "at", "input", "model", "output", "shadow_output", "agrees", "latency_ms", "shadow_latency_ms", "reason",
    "shadow_reason",
)  # fmt: skip


def shadow_frame(report: ShadowReport) -> Any:
    """Return the samples as a data frame of pandas, with the sums over all queries as its ``attrs``.

    Raises
    ------
    InvalidRequestError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as exc:
        raise InvalidRequestError("shadow_report() returns a data frame of pandas: pip install pandas.") from exc
    rows = [
        (
            pd.Timestamp(sample.at, unit="s", tz="UTC"), sample.input, sample.model, sample.output,
            sample.shadow_output, sample.agrees, 1000 * sample.latency_s, 1000 * sample.shadow_latency_s,
            sample.reason, sample.shadow_reason,
        )
        for sample in report.samples
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    frame.attrs.update(
        app_name=report.app_name,
        model=report.model,
        share=report.share,
        num_asked=report.num_asked,
        num_dropped=report.num_dropped,
        num_failed=dict(report.num_failed),
        num_compared=report.num_compared,
        num_agreed=report.num_agreed,
        agreement=report.agreement,
        mean_latency_ms=_mean_ms(report.sum_latency_s, report.num_compared),
        mean_shadow_latency_ms=_mean_ms(report.sum_shadow_latency_s, report.num_compared),
    )
    return frame


def _mean_ms(sum_s: float, num: int) -> float | None:
    return 1000 * sum_s / num if num else None
