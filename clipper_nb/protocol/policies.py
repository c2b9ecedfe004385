"""The policy by which an application chooses among its targets, as users set it, and its checks. (pure)"""

from __future__ import annotations

from numbers import Real
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from clipper_nb.errors import InvalidNameError, InvalidRequestError
from clipper_nb.protocol.names import check_model_name, check_version

PolicyName = Literal["weights", "thompson", "ucb", "epsilon-greedy", "exp3", "exp4", "ensemble"]
POLICY_NAMES: tuple[PolicyName, ...] = get_args(PolicyName)
COMBINES = ("vote", "mean")
"""How outputs are combined without a model that does it."""
ENSEMBLES = ("exp4", "ensemble")
"""Policies that ask all targets of a query."""
LEARNING = ("thompson", "ucb", "epsilon-greedy", "exp3", "exp4")
"""Policies whose shares follow the feedback."""
_EXPLORE = {"thompson": 0.02, "ucb": 0.02, "epsilon-greedy": 0.1, "exp3": 0.1}


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an application chooses among its targets.

    Attributes
    ----------
    name : str
        ``"weights"``: one target by the weights, as without a policy, with its answers kept for feedback.
        ``"thompson"``, ``"ucb"``, ``"epsilon-greedy"``, ``"exp3"``: one target, the better the more often.
        ``"ensemble"``: all targets, combined by their weights. ``"exp4"``: all, combined by learnt weights.
    half_life_s : float or None
        After how many seconds a feedback counts half. ``None``: all feedback counts the same.
    explore : float or None
        Share of the queries that go to a target at random; ``None`` is 0.1 for epsilon-greedy and exp3, 0.02 for
        thompson and ucb.
    by_key : bool
        Whether each key of requests learns for itself, as soon as it has some feedback.
    combine : str
        ``"vote"``: the output on which the most weight agrees. ``"mean"``: the weighted mean of numbers. Else
        ``"model"`` or ``"model:version"``, of the input type ``json``, which makes one answer of the outputs.
    min_confidence : float or None
        A combined answer with a lower confidence is replaced by the default output.
    error_scale : float or None
        The absolute error of a number that scores 0; half of it scores 0.5. ``None``: an output is right or wrong.
    default_weight : float or None
        How much a default output counts, as a score of 0, for the version whose fault it was. ``None``: not at all.
    """

    name: PolicyName
    half_life_s: float | None = None
    explore: float | None = None
    by_key: bool = False
    combine: str = "vote"
    min_confidence: float | None = None
    error_scale: float | None = None
    default_weight: float | None = None

    @property
    def asks_all(self) -> bool:
        """Whether all targets are asked for each query."""
        return self.name in ENSEMBLES

    @property
    def combiner(self) -> str | None:
        """The model, or the version, that combines outputs; ``None`` where it needs none."""
        return None if self.combine in COMBINES else self.combine

    @property
    def learns_shares(self) -> bool:
        """Whether one target is asked, and the feedback decides which how often."""
        return self.name in _EXPLORE

    @property
    def exploration(self) -> float:
        """Share of the queries that go to a target at random."""
        return _EXPLORE.get(self.name, 0.0) if self.explore is None else self.explore

    def __str__(self) -> str:
        options = (f"{field}={value}" for field, value in self.options.items())
        return ", ".join((self.name, *options))

    @property
    def options(self) -> dict[str, Any]:
        """The options that were set, by name."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        del told["name"]
        return told


def check_policy(policy: object, num_targets: int) -> Policy | None:
    """Return a policy if it and each of its options is valid, for that many targets; ``None`` for none.

    Parameters
    ----------
    policy : Policy, dict or None
        A dict has the fields of :class:`Policy`.

    Raises
    ------
    InvalidRequestError
        The error says which values are valid.
    """
    if policy is None:
        return None
    fields = msgspec.to_builtins(policy) if isinstance(policy, Policy) else policy
    if not isinstance(fields, dict):
        raise InvalidRequestError(f'A policy must be an object, {{"name": ...}}; it is {policy!r:.100}.')
    unknown = fields.keys() - set(Policy.__struct_fields__)
    if unknown:
        raise InvalidRequestError(
            f"A policy has no option {min(map(str, unknown))!r}. It has {', '.join(Policy.__struct_fields__[1:])}."
        )
    _check_name(fields.get("name"))
    checked = Policy(**{**fields, **_checked_options(fields)})
    _check_together(checked, num_targets)
    return checked


def make_policy(name: object, **options: Any) -> dict[str, Any] | None:
    """Return the fields of the policy of that name with those of *options* that are set; ``None`` without a name.

    Raises
    ------
    InvalidRequestError
        There are options and no name.
    """
    given = {option: value for option, value in options.items() if value is not None}
    if name is not None:
        return {"name": name, **given}
    needless = [option for option, value in given.items() if value is not False and value != "vote"]
    if needless:
        raise InvalidRequestError(
            f"{needless[0]} needs a policy. Pass policy=, one of {', '.join(map(repr, POLICY_NAMES))}."
        )
    return None


def _check_name(name: object) -> None:
    if name not in POLICY_NAMES:
        raise InvalidRequestError(f"policy must be one of {', '.join(map(repr, POLICY_NAMES))}; it is {name!r:.60}.")


def _checked_options(fields: dict[str, Any]) -> dict[str, Any]:
    _check_combine(fields.get("combine", "vote"))
    if not isinstance(fields.get("by_key", False), bool):
        raise InvalidRequestError(f"by_key must be True or False; it is {fields['by_key']!r:.60}.")
    return {
        "half_life_s": _number(fields, "half_life_s", "a number of seconds above 0, or None to never forget", 1e-3),
        "explore": _number(fields, "explore", "a share from 0 to 1", 0.0, 1.0),
        "min_confidence": _number(fields, "min_confidence", "a share from 0 to 1", 0.0, 1.0),
        "error_scale": _number(fields, "error_scale", "a number above 0", 1e-300),
        "default_weight": _number(fields, "default_weight", "a number above 0, at most 1", 1e-9, 1.0),
    }


def _check_combine(combine: object) -> None:
    try:
        name, colon, version = combine.partition(":") if isinstance(combine, str) else ("", "", "")
        check_model_name(name)
        check_version(version if colon else "1")
    except InvalidNameError as exc:
        raise InvalidRequestError(
            "combine must be 'vote', 'mean', or a model of input type json that combines outputs, \"model\" or "
            f'"model:version"; it is {combine!r:.60}. To combine by a function, deploy it as such a model first.'
        ) from exc


def _number(fields: dict[str, Any], name: str, what: str, smallest: float, largest: float = 1e300) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not smallest <= value <= largest:
        raise InvalidRequestError(f"{name} must be {what}; it is {value!r:.60}.")
    return float(value)


def _check_together(policy: Policy, num_targets: int) -> None:
    if num_targets < 2:
        raise InvalidRequestError(
            f"Policy '{policy.name}' chooses among at least two targets; there is {num_targets}. Name another version, "
            "or leave policy out."
        )
    if not policy.asks_all and (policy.min_confidence is not None or policy.combine != "vote"):
        option = "min_confidence" if policy.min_confidence is not None else "combine"
        raise InvalidRequestError(f"{option} needs policy 'ensemble' or 'exp4': with '{policy.name}' one answers.")
    if policy.name in ("weights", "exp4", "ensemble") and policy.explore is not None:
        raise InvalidRequestError(f"explore needs a policy that learns which one target to ask, not '{policy.name}'.")
    if policy.name not in LEARNING and (policy.by_key or policy.default_weight is not None):
        option = "by_key" if policy.by_key else "default_weight"
        raise InvalidRequestError(f"{option} needs a policy that learns; '{policy.name}' does not.")
    if policy.name == "exp3" and policy.explore == 0:
        raise InvalidRequestError("exp3 needs explore above 0: what it learns is divided by the chance of a target.")
