"""The series of shadows: apart from those of applications, which know nothing of them. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

from clipper_nb.protocol import metric_names
from clipper_nb.protocol.names import parse_model_id
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.runtime.metrics.exposition import Family, format_labels


def make_shadow_families(reports: Sequence[ShadowReport]) -> list[Family]:
    """Return the metrics of the shadows that there are, each with its application, model and version as labels."""
    asked = Family(metric_names.SHADOW_QUERIES, "Queries chosen for a shadow", "counter", [])
    dropped = Family(metric_names.SHADOW_DROPPED, "Those that it was never sent", "counter", [])
    failures = Family(metric_names.SHADOW_FAILURES, "Those that it was sent and did not answer", "counter", [])
    compared = Family(metric_names.SHADOW_COMPARED, "Those with two outputs", "counter", [])
    agreed = Family(metric_names.SHADOW_AGREED, "Those whose outputs are the same", "counter", [])
    for report in reports:
        model_id = parse_model_id(report.model)
        labels = {
            metric_names.LABEL_APP: report.app_name,
            metric_names.LABEL_MODEL: model_id.name,
            metric_names.LABEL_VERSION: model_id.version,
        }
        text = format_labels(labels)
        asked.series.append((text, [report.num_asked]))
        dropped.series.append((text, [report.num_dropped]))
        compared.series.append((text, [report.num_compared]))
        agreed.series.append((text, [report.num_agreed]))
        for reason, count in report.num_failed.items():
            failures.series.append((format_labels({**labels, metric_names.LABEL_REASON: reason}), [count]))
    return [asked, dropped, failures, compared, agreed]
