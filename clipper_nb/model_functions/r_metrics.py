"""What a function of R counts itself: conditions that ``metrics.R`` signals become those of ``clipper_nb.metrics``."""

from __future__ import annotations

import importlib.resources
from typing import Any, cast

from clipper_nb.errors import InvalidRequestError

COUNTING = """
function(record) function(metric) {
  objection <- record(
    metric$type, metric$message, metric$value, metric$labels, names(metric$labels), metric$description, metric$buckets
  )
  if (nzchar(objection)) stop(objection, call. = FALSE)
}
"""
"""Returns what handles such a condition, from what :func:`metric_recorder` returns."""


def metrics_source() -> str:
    """Return the R code of the functions that count, which R's own package has too."""
    return importlib.resources.files("clipper_nb.model_functions").joinpath("metrics.R").read_text()


def metric_recorder(rinterface: Any) -> Any:
    """Return the R function that counts, and returns why it could not, or an empty text."""

    def record(*fields: Any) -> Any:
        try:
            _record(*([] if field is rinterface.NULL else list(field) for field in fields))
        except Exception as exc:  # rpy2 would log it, and go on as if the call had succeeded
            return rinterface.StrSexpVector([str(exc)])
        return rinterface.StrSexpVector([""])

    return rinterface.rternalize(record)


def _record(
    kinds: list[str],
    names: list[Any],
    values: list[Any],
    labels: list[Any],
    label_names: list[str],
    descriptions: list[Any],
    buckets: list[float],
) -> None:
    from clipper_nb import metrics  # replicas look for reports only where this was imported

    # What is no text is refused there, by name.
    name, description = (cast(str, each[0] if len(each) == 1 else each) for each in (names, descriptions))
    if len(values) != 1 or isinstance(values[0], str):
        raise InvalidRequestError(f"The value of metric {name!r} must be one number, not {values!r}.")
    if len(label_names) != len(labels):
        raise InvalidRequestError(f'The labels of metric {name!r} need names: c(language = "de").')
    by_name = {str(label): str(value) for label, value in zip(label_names, labels, strict=True)}
    if kinds == ["counter"]:
        metrics.counter(name, description, list(by_name)).inc(values[0], **by_name)
    elif kinds == ["gauge"]:
        metrics.gauge(name, description, list(by_name)).set(values[0], **by_name)
    else:
        bounds = buckets or metrics.DEFAULT_BUCKETS
        metrics.histogram(name, description, list(by_name), buckets=bounds).observe(values[0], **by_name)
