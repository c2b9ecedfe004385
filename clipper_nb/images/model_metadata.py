"""Reads what a deploy knew of a version from the files of its model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.protocol.samples import SAMPLES_FILE, parse_output, parse_samples

METADATA_FILE = "metadata.json"
_MAX_EXAMPLE_BYTES = 4096
"""The configuration, which holds the example, is sent to every query frontend."""

FileReader = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Gives those of the named files that a model's folder has."""


def read_folder(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return those of the named files that are in *folder*."""
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def read_provenance(read_files: FileReader) -> Provenance:
    """Return what the files say; nothing where there are none, as in an image that no deployer made."""
    files = read_files([METADATA_FILE, SAMPLES_FILE])
    found = parse_metadata(files.get(METADATA_FILE, b"")).get("environment")
    environment = {name: str(version) for name, version in found.items()} if isinstance(found, dict) else {}
    if SAMPLES_FILE not in files:
        return Provenance(environment)
    samples = parse_samples(files[SAMPLES_FILE].decode())
    example = Example(samples.inputs[0], parse_output(samples.outputs[0]))
    is_small = len(json.dumps([example.input, example.output])) <= _MAX_EXAMPLE_BYTES
    return Provenance(environment, len(samples.inputs), example if is_small else None)


def parse_metadata(content: bytes) -> dict[str, Any]:
    """Return what a deployer wrote; nothing from what is no object of JSON, which is somebody else's file."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
