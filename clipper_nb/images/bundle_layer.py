"""Puts a model's bundle on top of an image: one layer, in a fraction of the time that a build takes the engine."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from clipper_nb.images import templates
from clipper_nb.images.context import move_folder
from clipper_nb.images.docker_engine import DockerEngine, docker_module, split_tag, translated

_NAME_PREFIX = "clipper_nb-layer-"
"""Prefix of the names of the containers that receive bundles. A label would end up in the image."""
_LONGEST_USE_S = 3600
_IN_MEMORY_BYTES = 64 * 1024 * 1024


def add_bundle(engine: DockerEngine, below: Any, context: IO[bytes], image: str, labels: Mapping[str, str]) -> bool:
    """Create *image* from the image *below* and the bundle in a build's context, as the whole build would.

    The engine creates and tags it in one step, so there is never a part of it. Returns ``False`` if *below* is gone, or
    if the engine is Podman, whose commit ignores the configuration that it is sent.
    """
    if engine.is_podman:
        return False
    api = engine.stream_client.api
    config = {**below.attrs["Config"], "Labels": {**(below.attrs["Config"].get("Labels") or {}), **labels}}
    repository, tag = split_tag(image)
    with translated(f"building '{image}'"), contextlib.ExitStack() as stack:
        try:
            container = stack.enter_context(_new_container(api, below.id))
        except docker_module().errors.ImageNotFound:
            return False
        _put(api, container, context)
        try:
            _run_to_its_end(lambda: api.commit(container, repository, tag, templates.BUNDLE_STEP, conf=config))
        except BaseException:
            with contextlib.suppress(docker_module().errors.APIError):
                api.remove_image(image)
            raise
    return True


@contextlib.contextmanager
def _new_container(api: Any, image: str) -> Iterator[str]:
    """Yield a container that never starts; then remove it, and those that killed processes left."""
    name = f"{_NAME_PREFIX}{secrets.token_hex(8)}"
    container = str(api.create_container(image, ["python"], name=name, network_disabled=True)["Id"])
    try:
        yield container
    finally:
        _remove(api, container)


def _remove(api: Any, container: str) -> None:
    created_s = {each["Id"]: each["Created"] for each in api.containers(all=True, filters={"name": _NAME_PREFIX})}
    newest_s = max(created_s.values(), default=0)  # the engine's own clock: its clients may be on any machine
    for other, when_s in created_s.items():
        if other == container or newest_s - when_s > _LONGEST_USE_S:
            with contextlib.suppress(docker_module().errors.NotFound):
                api.remove_container(other, force=True, v=True)


def _put(api: Any, container: str, context: IO[bytes]) -> None:
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES, prefix="clipper_nb-") as packed:
        move_folder(context, packed, templates.BUNDLE_FOLDER, templates.MODEL_FOLDER.lstrip("/"))
        packed.seek(0)
        api.put_archive(container, "/", packed)


def _run_to_its_end(action: Callable[[], object]) -> None:
    """Run *action*, also if Ctrl-C arrives meanwhile: the engine would finish it anyway."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(action).result()
