"""Turns a fitted estimator, which a user deploys in place of a function, into a function."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.estimator_function import EstimatorFunction
from clipper_nb.protocol.input_types import InputType

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform")
"""What may be deployed of an estimator; each takes rows and returns one output per row."""
_INPUT_TYPES = (InputType.INTEGERS, InputType.FLOATS, InputType.DOUBLES, InputType.STRINGS, InputType.JSON)


def is_estimator(value: object) -> bool:
    """Return whether *value* is deployed by its ``predict``, since it cannot be called itself."""
    return not inspect.isclass(value) and not callable(value) and callable(getattr(value, "predict", None))


def as_function(func: Any, method: str | None = None, input_type: InputType | str | None = None) -> Any:
    """Return *func* itself, or for an estimator, or with a *method*, a function that calls that.

    Raises
    ------
    InvalidRequestError
        It has no such method, is not fitted, or takes no inputs of that type.
    """
    if method is None and (callable(func) or not _methods_of(func)):
        return func  # what is neither is refused with functions
    found = _methods_of(func)
    name = type(func).__name__
    if inspect.isclass(func):
        raise InvalidRequestError(
            f"func is the class {func.__name__}; pass a fitted object: {func.__name__}().fit(...)."
        )
    if method is None and "predict" not in found:
        raise InvalidRequestError(f"{name} has no predict(); choose a method: method={found[0]!r}.")
    chosen = method or "predict"
    if chosen not in found:
        has = f"it has {', '.join(found)}" if found else "it has none"
        raise InvalidRequestError(
            f"method must be one of {', '.join(METHODS)} that {name} has; it is {method!r}, and {has}."
        )
    if input_type is not None and input_type not in _INPUT_TYPES:
        raise InvalidRequestError(
            "An estimator takes rows of numbers ('doubles', 'floats', 'ints'), texts ('strings') or rows of a data "
            f"frame ('json', with sample_inputs=df), and not {input_type!s}. Deploy a function that makes rows of its "
            f"inputs and calls {chosen}() with them."
        )
    _check_is_fitted(func)
    return EstimatorFunction(func, chosen, *_frame_of(func, input_type))


def _methods_of(func: object) -> list[str]:
    return [method for method in METHODS if callable(getattr(func, method, None))]


def _check_is_fitted(estimator: Any) -> None:
    """Raise if scikit-learn knows that it is not fitted."""
    base, validation = sys.modules.get("sklearn.base"), sys.modules.get("sklearn.utils.validation")
    if base is None or validation is None or not isinstance(estimator, base.BaseEstimator):
        return
    try:
        validation.check_is_fitted(estimator)
    except sys.modules["sklearn.exceptions"].NotFittedError as exc:
        raise InvalidRequestError(f"{type(estimator).__name__} is not fitted; call its fit() first.") from exc


def _frame_of(estimator: Any, input_type: InputType | str | None) -> tuple[Any, Any]:
    """Return the columns and the maker of frames for an estimator that was fitted with a frame of pandas."""
    columns, pandas = getattr(estimator, "feature_names_in_", None), sys.modules.get("pandas")
    if columns is None or pandas is None or input_type in (InputType.STRINGS, InputType.JSON):
        return None, None
    return [str(column) for column in columns], pandas.DataFrame
