"""``python -m clipper_nb.runtime.model_container``: load the model, then serve it until SIGTERM."""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import signal
import sys
from types import FrameType

from clipper_nb.errors import ClipperException
from clipper_nb.protocol.environment import IMPORT_FAILED_EXIT_STATUS, LOAD_FAILED_EXIT_STATUS
from clipper_nb.protocol.load_report import describe_load_failure, format_load_failure
from clipper_nb.runtime.model_container.client import Model, serve
from clipper_nb.runtime.model_container.environment_check import check_environment
from clipper_nb.runtime.model_container.loader import load_model
from clipper_nb.runtime.model_container.notebook_main import become_notebook
from clipper_nb.runtime.model_container.parity import check_samples
from clipper_nb.runtime.model_container.setting_up import set_up
from clipper_nb.runtime.model_container.settings import ModelContainerSettings, model_container_settings

logger = logging.getLogger(__name__)


def main() -> None:
    """Run one replica."""
    faulthandler.enable()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_unloaded)  # as a container's first process it would otherwise ignore the signal
    logging.raiseExceptions = False  # a model that closes its standard error must not fail because of our log
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = model_container_settings()
    except ClipperException as exc:
        logger.error("%s", exc)
        raise SystemExit(LOAD_FAILED_EXIT_STATUS) from None
    model = _load(settings)
    # A collection that visits a model and its libraries stops a batch for 80 ms or more, and finds nothing.
    gc.collect()
    gc.freeze()
    logger.info("%s is loaded", settings.model_id)
    serve(model, settings)


def _leave_unloaded(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def _load(settings: ModelContainerSettings) -> Model:
    if settings.load_timeout_s is not None:
        # Shortly before the caller's timeout, the log shows where the load hangs.
        faulthandler.dump_traceback_later(0.8 * settings.load_timeout_s, exit=False)
    try:
        check_environment(settings.model_path)
        become_notebook()
        set_up(settings.model_path)
        model = load_model(settings.model_path)
        check_samples(model, settings.model_path, settings.input_type)
        return model
    except BaseException as exc:  # of any class: SIGTERM and SIGINT raise nothing here
        failure = describe_load_failure(exc)
        sys.stderr.write(f"{failure.traceback_text.rstrip()}\n{format_load_failure(failure)}\n")
        is_import = issubclass(type(exc), ImportError)
        raise SystemExit(IMPORT_FAILED_EXIT_STATUS if is_import else LOAD_FAILED_EXIT_STATUS) from None
    finally:
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
