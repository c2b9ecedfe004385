"""``python -m clipper_nb.runtime.model_container``: load the model, then serve it until SIGTERM."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from clipper_nb.errors import ClipperException
from clipper_nb.protocol.environment import IMPORT_FAILED_EXIT_STATUS, LOAD_FAILED_EXIT_STATUS
from clipper_nb.protocol.load_report import describe_load_failure, format_load_failure
from clipper_nb.runtime.malloc import keep_blocks
from clipper_nb.runtime.model_container.client import Model, serve
from clipper_nb.runtime.model_container.environment_check import check_environment
from clipper_nb.runtime.model_container.load_watch import watch_load
from clipper_nb.runtime.model_container.loader import load_model
from clipper_nb.runtime.model_container.notebook_main import become_notebook
from clipper_nb.runtime.model_container.parity import check_samples
from clipper_nb.runtime.model_container.request_log import RequestFormatter
from clipper_nb.runtime.model_container.setting_up import set_up
from clipper_nb.runtime.model_container.settings import ModelContainerSettings, model_container_settings
from clipper_nb.runtime.model_container.variables_file import begin_with_variables

logger = logging.getLogger(__name__)


class LoadObserver:
    """Is called around the load of a model."""

    def before_load(self, model_folder: Path) -> None:
        """Do what comes before it; exceptions are reported as those of the load."""

    def after_load(self) -> None:
        """Do what comes before the first prediction.

        It may also return in copies of this process, which then are replicas with an environment of their own.
        """


def _write_log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RequestFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main(observer: LoadObserver | None = None, *, started_s: float | None = None) -> None:
    """Run one replica; it began at *started_s* of the monotonic clock, or now."""
    observer = observer or LoadObserver()
    started_s = time.monotonic() if started_s is None else started_s
    begin_with_variables()
    keep_blocks()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_unloaded)  # as a container's first process it would otherwise ignore the signal
    logging.raiseExceptions = False  # a model that closes its standard error must not fail because of our log
    _write_log()
    settings = _read_settings()
    with _reported(settings, started_s=started_s):
        model = _load(settings, observer)
    load_s = time.monotonic() - started_s
    gc.collect()
    observer.after_load()
    gc.freeze()  # a collection that visits a model and its libraries stops a batch for 80 ms or more, and finds nothing
    settings = _read_settings()
    with _reported(settings, started_s=time.monotonic() - load_s):
        check_samples(model, settings.model_path, settings.input_type)
    logger.info("%s is loaded", settings.model_id)
    serve(model, settings)


def _read_settings() -> ModelContainerSettings:
    try:
        return model_container_settings()
    except ClipperException as exc:
        logger.error("%s", exc)
        raise SystemExit(LOAD_FAILED_EXIT_STATUS) from None


def _leave_unloaded(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def _load(settings: ModelContainerSettings, observer: LoadObserver) -> Model:
    check_environment(settings.model_path)
    observer.before_load(settings.model_path)
    become_notebook()
    set_up(settings.model_path)
    return load_model(settings.model_path)


@contextlib.contextmanager
def _reported(settings: ModelContainerSettings, *, started_s: float) -> Iterator[None]:
    """Write to the log why the model cannot be loaded, and end this process; or where it hangs."""
    try:
        with watch_load(settings.load_timeout_s, spent_s=time.monotonic() - started_s):
            yield
    except BaseException as exc:  # of any class: SIGTERM and SIGINT raise nothing here
        failure = describe_load_failure(exc)
        sys.stderr.write(f"{failure.traceback_text.rstrip()}\n{format_load_failure(failure)}\n")
        logging.disable()  # what libraries log at their end would push that out of the log's last lines
        is_import = issubclass(type(exc), ImportError)
        raise SystemExit(IMPORT_FAILED_EXIT_STATUS if is_import else LOAD_FAILED_EXIT_STATUS) from None


if __name__ == "__main__":
    main()
