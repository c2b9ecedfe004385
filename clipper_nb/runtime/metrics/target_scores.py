"""The series of what policies have learnt. (pure)"""

from __future__ import annotations

from collections.abc import Iterable

from clipper_nb.protocol import metric_names
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.metrics.exposition import Family, format_labels


def make_score_families(scores: Iterable[tuple[str, ModelId, Counts]]) -> list[Family]:
    """Return the metrics of the scores of each application's versions, with these labels."""
    mean = Family(metric_names.TARGET_SCORE, "Mean score of a version's feedback", "gauge", [])
    number = Family(metric_names.TARGET_SCORES, "Scores in this mean, older ones as far as they count", "gauge", [])
    for application_name, model_id, counts in scores:
        labels = format_labels(
            {
                metric_names.LABEL_APP: application_name,
                metric_names.LABEL_MODEL: model_id.name,
                metric_names.LABEL_VERSION: model_id.version,
            }
        )
        number.series.append((labels, [counts.num]))
        if counts.mean is not None:
            mean.series.append((labels, [counts.mean]))
    return [mean, number]
