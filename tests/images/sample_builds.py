"""What Docker 20.10 really wrote in builds that failed, in ``samples/``: one event of its stream per line."""

from __future__ import annotations

import json
from pathlib import Path

from clipper_nb.images.build_log import BuildLog

SAMPLES = Path(__file__).with_name("samples")


def read_sample(name: str) -> tuple[BuildLog, list[str], str]:
    """Return the log after a sample's last event, the lines that it found worth showing, and the engine's error."""
    log, shown, error = BuildLog(), [], ""
    for line in (SAMPLES / f"{name}.jsonl").read_text().splitlines():
        event = json.loads(line)
        shown.extend(log.add(event.get("stream", "")))
        error = event.get("error", error)
    return log, shown, error
