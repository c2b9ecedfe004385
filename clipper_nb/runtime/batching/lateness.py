"""Why a query has no prediction by its deadline, as a reason and a sentence. (pure)"""

from __future__ import annotations

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.query import Computation


def explain_lateness(
    computation: Computation, dispatcher: Dispatcher | None, now_s: float, slo_text: str
) -> tuple[str, str]:
    """Return the reason and explanation of the default output for a query that has waited for its whole SLO.

    Parameters
    ----------
    computation : Computation
        What it waits for.
    dispatcher : Dispatcher or None
        That of its version.
    now_s : float
        Monotonic seconds.
    slo_text : str
        The SLO as users read it.
    """
    late = f"Failed to retrieve a prediction response within the specified latency SLO of {slo_text}"
    model_id = computation.model_id
    if computation.sent_s is not None:
        waited_ms = (now_s - computation.sent_s) * 1000
        return reasons.MODEL_TOO_SLOW, f"{late}: a replica of {model_id} has had the query for {waited_ms:.0f} ms."
    if dispatcher is None or dispatcher.num_replicas == 0:
        return reasons.NO_READY_REPLICA, explain_no_replica(model_id)
    if dispatcher.is_held(computation):
        return reasons.MODEL_ERROR, (
            f"A replica of {model_id} ended while it computed this prediction; the input may be what ends it, and "
            f"within the SLO of {slo_text} there was no other replica to try it apart."
        )
    if dispatcher.is_isolated(computation):
        return reasons.MODEL_ERROR, (
            f"Model {model_id} raised on a batch with this input, and within the SLO of {slo_text} there was no "
            "time to compute it apart. A smaller batch_size or a longer SLO would help."
        )
    return reasons.QUEUED_TOO_LONG, (
        f"{late}: the query waited in the queue of {model_id} (busy replicas: {dispatcher.num_replicas}, "
        f"others waiting: {dispatcher.queue_length - 1}). A faster model, more replicas or a longer SLO would help."
    )


def explain_no_replica(model_id: ModelId) -> str:
    """Return the explanation for a query to a version without a replica."""
    return (
        f"No connected models found for query: version '{model_id.version}' of model '{model_id.name}' has no "
        "connected replica."
    )
