"""Throughput beside the build before: both builds serve the same model, and wrk asks them in turn.

Neither build is always first; the median of the pairs' ratios counts. Processor time for each prediction is that of the
whole cluster, which other work on the machine disturbs less.

    python benchmarks/before.py                                       no-op, sum and forest, both builds compiled
    python benchmarks/before.py --against HEAD~20 --workloads noop --pairs 10
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile

from load.verdicts import Verdicts, parse_options
from loop.builds import BASELINE_REVISION, make_build
from loop.served_build import Build, serving
from workloads import FOREST_VARIABLE, WORKLOADS, Workload, save_forest

TARGET = 0.97


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default=BASELINE_REVISION, metavar="REVISION", help="the build before")
    parser.add_argument("--workloads", default=",".join(workload.name for workload in WORKLOADS))
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--duration-s", type=int, default=4)
    parser.add_argument("--interpreted", action="store_true", help="compile neither build")
    options = parse_options(__doc__, parser)
    verdicts = Verdicts("before", options)
    is_compiled = not options.interpreted
    pythons = [
        make_build("before", options.against, compiled=is_compiled),
        make_build("now", None, compiled=is_compiled),
    ]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ[FOREST_VARIABLE] = f"{folder}/forest.joblib"
        save_forest(os.environ[FOREST_VARIABLE])
        for workload in [each for each in WORKLOADS if each.name in options.workloads.split(",")]:
            with serving(pythons[0], workload.name) as before, serving(pythons[1], workload.name) as now:
                compare(workload, before, now, options, verdicts)
    return verdicts.finish()


def compare(workload: Workload, before: Build, now: Build, options: argparse.Namespace, verdicts: Verdicts) -> None:
    """Measure both in pairs."""
    for pair in range(-1, 2 if options.quick else options.pairs):
        for build in (before, now) if pair % 2 else (now, before):
            rate, cost_s = build.measure(workload, options.duration_s)
            if pair >= 0:  # the first one warms up
                build.rates.append(rate)
                build.costs_s.append(cost_s)
    ratios = [ours / theirs for theirs, ours in zip(before.rates, now.rates, strict=True)]
    costs = [ours / theirs for theirs, ours in zip(before.costs_s, now.costs_s, strict=True)]
    ratio = statistics.median(ratios)
    verdicts.tell(f"{workload.title}, before", f"{statistics.median(before.rates):,.0f} predictions/s")
    spread = f"{ratio:.3f} ({min(ratios):.3f} - {max(ratios):.3f})"
    verdicts.check(f"{workload.title}, now, of that", f">= {TARGET}", spread, ratio >= TARGET)
    verdicts.tell("processor time for each, of before's", f"{statistics.median(costs):.3f}")


if __name__ == "__main__":
    sys.exit(main())
