"""Checks what a cluster of containers depends on: the engine, its clock, disk and images."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from clipper_nb.container_managers.docker.user_ids import check_ids
from clipper_nb.container_managers.machine_checks import check_disk
from clipper_nb.display.diagnosis import Finding
from clipper_nb.errors import ClipperException
from clipper_nb.images import library
from clipper_nb.images.build_failures import HOW_TO_FREE
from clipper_nb.images.docker_engine import DockerEngine, engine_address, translated
from clipper_nb.images.user_ids import UserIds

_OLDEST_ENGINE = (20, 10)
_LARGEST_CLOCK_DIFFERENCE_S = 2.0


def check_engine(engine: DockerEngine, redis_image: str | None, user_ids: UserIds | None) -> list[Finding]:
    """Check the engine, its clock, disk, images and the user ids of containers.

    *redis_image* is ``None`` when Redis is external, *user_ids* when the engine decides which to use.
    """
    try:
        with translated("asking for its version"):
            info, version = engine.client.info(), engine.client.version()
    except ClipperException as exc:
        return [Finding("Docker Engine", "problem", exc.msg, "`docker info` must answer in a terminal here.")]
    return [
        _check_podman(version["Version"]) if engine.is_podman else _check_version(version["Version"]),
        check_clock(str(info["SystemTime"])),
        _check_disk(str(info["DockerRootDir"])),
        check_ids(engine, info, user_ids),
        *_check_images(engine, [library.default_base_image(), *([redis_image] if redis_image else [])]),
    ]


def check_clock(their_time: str) -> Finding:
    """Compare a time in ISO 8601 with this machine's clock."""
    read = re.fullmatch(r"(.{19})(\.\d+)?(.*)", their_time)  # Python 3.10 reads neither nanoseconds nor "Z"
    try:
        there = datetime.fromisoformat(read[1] + read[3].replace("Z", "+00:00")) if read else None
    except ValueError:
        there = None
    if read is None or there is None:
        return Finding("Clock", "warning", f"The engine reported a time that cannot be parsed: {their_time}.")
    ahead_s = there.timestamp() + float(read[2] or 0) - time.time()
    found = f"The engine's machine and this one differ by {abs(ahead_s):.1f} s."
    if abs(ahead_s) > _LARGEST_CLOCK_DIFFERENCE_S:
        return Finding("Clock", "warning", found, "Set both by NTP: panels, logs and records show the engine's time.")
    return Finding("Clock", "ok", found)


def _check_version(version: str) -> Finding:
    found = f"Version {version} answers at {engine_address()}."
    numbers = version.split(".")[:2]
    if all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) < _OLDEST_ENGINE:
        oldest = ".".join(map(str, _OLDEST_ENGINE))
        return Finding("Docker Engine", "warning", found, f"Install {oldest} or newer; older ones are not tested.")
    return Finding("Docker Engine", "ok", found)


def _check_podman(version: str) -> Finding:
    found = f"Podman {version} answers at {engine_address()}."
    return Finding("Docker Engine", "warning", found, "See docs/testing.md for what works on Podman.")


def _check_disk(root_folder: str) -> Finding:
    path = Path(root_folder)
    if not engine_address().startswith("unix://") or not path.exists():
        return Finding("Disk", "ok", f"The engine's disk is elsewhere: {root_folder} there; see `docker system df`.")
    return check_disk(path, "images and containers", HOW_TO_FREE)


def _check_images(engine: DockerEngine, images: Sequence[str]) -> list[Finding]:
    missing = []
    for image in images:
        try:
            found: Any = engine.find_image(image)
        except ClipperException as exc:
            return [Finding("Base images", "problem", exc.msg)]
        if found is None:
            missing.append(image)
    if missing:
        return [
            Finding(
                "Base images", "warning", f"The engine does not have {' and '.join(missing)}.",
                "It pulls them when they are first needed. Where it reaches no registry, `docker load` brings them.",
            )
        ]  # fmt: skip
    return [Finding("Base images", "ok", f"The engine has {' and '.join(images)}.")]
