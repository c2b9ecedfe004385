"""Bandits and ensembles: the shapes that Clipper's paper shows, on digits; and stragglers, on a cluster.

Five models of scikit-learn answer a stream of digits whose labels come at once. From query 5,000 to 10,000 the best one
gets its images turned by 90 degrees. Then four of them are an ensemble on an embedded cluster, where each batch takes
300 ms longer with a probability of 5 %: once with an SLO of 100 ms, once with one that waits for all.
Source: Crankshaw et al., "Clipper: a low-latency online prediction serving system", NSDI 2017, sections 5 and 6.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from load.verdicts import Verdicts, parse_options
from selection_streams import Digits, Run, Stream, agreement, make_digits, run, thompson_shares

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.runtime.routing.bandits import Exp3, ThompsonSampling
from clipper_nb.runtime.routing.ensembles import Ensemble, Exp4

NUM_QUERIES, DEGRADED, BACK = 20_000, 5_000, 10_000
HALF_LIFE = 1_000
"""In queries."""
LEFT_SHARE, LEFT_WITHIN = 0.2, 500
"""A degraded model is left when it gets so few of the queries; after so many queries at most."""
BACK_SHARE, BACK_WITHIN = 0.5, 4_000
"""It is back when it gets so many again. The second best model is 1.8 points worse, so that takes longer."""
MEANS = {"a": 0.9, "b": 0.8, "c": 0.6, "d": 0.5}
SLO_MICROS, PATIENT_SLO_MICROS = 100_000, 5_000_000
MARGIN_MS = 20.0
"""For the way to the client, on a machine that also runs the client."""
MAX_LOST = 0.03
"""Of the accuracy, by stragglers that are left out."""
STRAGGLER_SHARE, STRAGGLER_S = 0.05, 0.3


def check_streams(verdicts: Verdicts, digits: Digits) -> None:
    """Compare policies with each model alone while the best one degrades and comes back."""
    stream = Stream(digits, NUM_QUERIES, (digits.best,), DEGRADED, BACK)
    runs = {
        "Exp3": run(Exp3(0.1), stream, half_life=HALF_LIFE),
        "Thompson": run(ThompsonSampling(0.02), stream, half_life=HALF_LIFE),
        "Exp4": run(Exp4(), stream, half_life=HALF_LIFE),
        "vote of all, nothing learnt": run(Ensemble(), stream),
    }
    singles = runs["Exp4"].single_errors
    for name, errors in sorted(singles.items(), key=lambda item: item[1]):
        what = f"{name} alone{', degraded from 5,000 to 10,000' if name == digits.best else ''}: error"
        verdicts.tell(what, f"{100 * errors / NUM_QUERIES:.1f} %")
    for name, done in runs.items():
        phases = [(0, DEGRADED), (DEGRADED, BACK), (BACK, NUM_QUERIES)]
        shown = " / ".join(f"{100 * done.error(begin, end):.1f}" for begin, end in phases)
        verdicts.tell(f"{name}: error before / during / after", f"{shown} %")
    for name in ("Exp3", "Thompson"):
        _check_recovery(verdicts, name, runs[name], digits.best)
    best_single = min(singles.values()) / NUM_QUERIES
    exp4 = runs["Exp4"].error(0, NUM_QUERIES)
    verdicts.check(
        "Exp4: error over all, below the best model in hindsight", f"< {100 * best_single:.1f} %",
        f"{100 * exp4:.1f} %", exp4 < best_single,
    )  # fmt: skip
    _check_regret(verdicts, stream)


def _check_recovery(verdicts: Verdicts, name: str, done: Run, degraded: str) -> None:
    left = done.until(DEGRADED, BACK, lambda first, last: done.share(degraded, first, last) <= LEFT_SHARE)
    back = done.until(BACK, NUM_QUERIES, lambda first, last: done.share(degraded, first, last) >= BACK_SHARE)
    verdicts.check(
        f"{name}: queries until the degraded model gets a fifth", f"<= {LEFT_WITHIN}", f"{left}",
        left is not None and left <= LEFT_WITHIN,
    )  # fmt: skip
    verdicts.check(
        f"{name}: queries until it gets half of them again", f"<= {BACK_WITHIN}", f"{back}",
        back is not None and back <= BACK_WITHIN,
    )  # fmt: skip


def _check_regret(verdicts: Verdicts, stream: Stream) -> None:
    """Compare with the bounds of the sources, which hold for what forgets nothing."""
    num_arms = len(stream.digits.upright)
    exp3 = Exp3(Exp3.exploration_for(num_arms, stream.num))
    regrets = [run(exp3, stream, seed=seed).regret() for seed in range(5)]
    bound = Exp3.regret_bound(num_arms, stream.num)
    found = statistics.mean(regrets)
    verdicts.check(
        "Exp3 that forgets nothing: regret, mean of 5 runs", f"<= {bound:.0f} (bound)", f"{found:.0f}", found <= bound
    )
    done = run(Exp4(), stream)
    bound = Exp4.regret_bound(num_arms, stream.num)
    found = done.weighted_loss - min(done.single_errors.values())
    verdicts.check(
        "Exp4 that forgets nothing: regret of its weighted loss",
        f"<= {bound:.0f} (bound)",
        f"{found:.0f}",
        found <= bound,
    )


def check_ensemble(verdicts: Verdicts, digits: Digits) -> None:
    """Compare the vote with the best model."""
    accuracy, by_count = agreement(digits)
    best = digits.accuracy(digits.best)
    verdicts.check(
        "vote of five: accuracy, above the best model's",
        f"> {100 * best:.1f} %",
        f"{100 * accuracy:.1f} %",
        accuracy > best,
    )
    for count, (share, error) in by_count.items():
        verdicts.tell(f"where {count} of 5 agree: share of digits, error", f"{100 * share:.0f} %, {100 * error:.1f} %")


def check_thompson(verdicts: Verdicts, seeds: int) -> None:
    """Check the share of the best of four after 2,000 feedbacks."""
    shares = thompson_shares(ThompsonSampling(0.02), MEANS, 2000, seeds)
    mean = statistics.mean(shares)
    verdicts.check(
        f"Thompson: share of the best of four after 2,000 feedbacks, mean of {seeds}", "> 90 %",
        f"{100 * mean:.1f} %, at least {100 * min(shares):.1f}", mean > 0.9,
    )  # fmt: skip


def check_stragglers(verdicts: Verdicts, num: int) -> None:
    """Compare an ensemble that answers by its SLO with one that waits for all of its models."""
    images, labels, models = _straggling_models()
    with running_cluster() as conn:
        for name, function in models.items():
            deploy_python_closure(conn, name, 1, "doubles", function, pkgs_to_install=["scikit-learn"])
        found = {}
        for application, slo_micros in (("patient", PATIENT_SLO_MICROS), ("hurried", SLO_MICROS)):
            conn.register_application(application, "doubles", "-1", slo_micros)
            conn.set_traffic(application, list(models), policy="ensemble")
            for image in images[:20]:
                conn.predict(application, image)
            found[application] = [conn.predict(application, image) for image in images[:num]]
    p99_ms, accuracy = {}, {}
    for application, predictions in found.items():
        latencies = sorted(1000 * prediction.latency_s for prediction in predictions)
        p99_ms[application] = latencies[int(0.99 * len(latencies))]
        right = [prediction.output == label for prediction, label in zip(predictions, labels, strict=False)]
        accuracy[application] = sum(right) / len(right)
    missing = [len(models) - len(prediction.models_used or ()) for prediction in found["hurried"]]
    verdicts.tell("stragglers, all waited for: p99", f"{p99_ms['patient']:.0f} ms")
    target_ms = SLO_MICROS / 1000 + MARGIN_MS
    verdicts.check(
        f"stragglers, SLO {SLO_MICROS // 1000} ms: p99", f"<= {target_ms:.0f} ms", f"{p99_ms['hurried']:.0f} ms",
        p99_ms["hurried"] <= target_ms,
    )  # fmt: skip
    verdicts.tell("predictions left out by the SLO", f"{100 * sum(missing) / (len(models) * len(missing)):.1f} %")
    lost = accuracy["patient"] - accuracy["hurried"]
    verdicts.check(
        "accuracy lost by it", f"<= {100 * MAX_LOST:.0f} points",
        f"{100 * lost:.1f} points of {100 * accuracy['patient']:.1f} %", lost <= MAX_LOST,
    )  # fmt: skip


def _straggling_models() -> tuple[Any, Any, dict[str, Callable[[Any], Any]]]:
    """Return digits, their labels, and functions of fitted models that are slow now and then."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    images, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    fitted, asked = order[:600], order[600:]

    def straggling(model: Any) -> Callable[[Any], Any]:
        def predict(inputs: Any) -> Any:
            import random
            import time

            if random.random() < STRAGGLER_SHARE:
                time.sleep(STRAGGLER_S)
            return [int(label) for label in model.predict(inputs)]

        return predict

    models: dict[str, Callable[[Any], Any]] = {}
    kinds = {
        "logistic": LogisticRegression(max_iter=2000),
        "svm": SVC(gamma=0.001),
        "bayes": GaussianNB(var_smoothing=0.01),
        "neighbors": KNeighborsClassifier(5),
    }
    for name, model in kinds.items():
        some = random.choice(fitted, 100, replace=False)
        models[name] = straggling(model.fit(images[some], labels[some]))
    return images[asked], labels[asked], models


@contextmanager
def running_cluster() -> Iterator[ClipperConnection]:
    """Give a connection to an embedded cluster that caches nothing."""
    ports = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0}
    conn = ClipperConnection(LocalContainerManager("benchmark-selection", **ports))
    conn.start_clipper(cache_size=0, query_token=False)
    try:
        yield conn
    finally:
        conn.stop_all()


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("selection", options)
    digits = make_digits()
    check_streams(verdicts, digits)
    check_ensemble(verdicts, digits)
    check_thompson(verdicts, 5 if options.quick else 20)
    check_stragglers(verdicts, 200 if options.quick else 1000)
    verdicts.note(f"Half-lives of {HALF_LIFE} queries; shares are those of 200 queries.")
    verdicts.note("p99 is what the client saw, which shares the machine with the cluster and whatever else runs there.")
    verdicts.note("Regret is against the best model in hindsight, which knows beforehand which one degrades least.")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
