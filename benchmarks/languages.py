"""Other languages than Python: latency for one input and for 64, a replica's start and its memory.

    python benchmarks/languages.py [--write]

It exits with 0 whatever the numbers are.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

from languages_r import measure_r
from languages_spark import measure_spark
from measuring import Samples, print_machine, print_row
from one_by_one import print_latency

RESULTS = Path(__file__).parent / "results" / "languages.json"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    print_machine()
    found = {}
    for measure in (measure_r, measure_spark):
        samples: Samples = defaultdict(list)
        memory_mb = measure(samples)
        for name in samples:
            (print_row if "deploy" in name else print_latency)(samples, name)
        for kind, size_mb in memory_mb.items():
            print(f"{kind + ': memory of a replica (PSS)':<48}{size_mb:>10.0f} MB")
        found.update(_summary(samples))
        found.update({f"{kind}, memory_mb": round(size_mb) for kind, size_mb in memory_mb.items()})
    if arguments.write:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n")


def _summary(samples: Samples) -> dict[str, dict[str, float]]:
    return {
        name: {"p50_ms": round(statistics.median(values), 2), "max_ms": round(max(values), 2), "n": len(values)}
        for name, values in samples.items()
    }


if __name__ == "__main__":
    main()
