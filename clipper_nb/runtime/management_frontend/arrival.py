"""Which replicas are connected to all query frontends, and whether those that a caller waits for are. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import FrontendPresence, Replica
from clipper_nb.protocol.rest import AwaitedReplicas


def are_connected(frontends: Sequence[FrontendPresence], model_id: ModelId, awaited: AwaitedReplicas) -> bool:
    """Return whether exactly as many replicas of a version as awaited are connected to every query frontend."""
    counts = [sum(replica.model_id == model_id for replica in frontend.replicas) for frontend in frontends]
    return all(count == awaited.num_replicas for count in counts or [0])


def find_other_input_type(
    frontends: Sequence[FrontendPresence], model_id: ModelId, awaited: AwaitedReplicas
) -> InputType | None:
    """Return the input type of a connected replica of the version, if it is not the version's own."""
    replicas = (replica for frontend in frontends for replica in frontend.replicas if replica.model_id == model_id)
    return next((replica.input_type for replica in replicas if replica.input_type != awaited.input_type), None)


def replicas_known_to_all(presence: Sequence[FrontendPresence]) -> list[Replica]:
    """Return the replicas of each version at the query frontend that has the fewest of them."""
    counts = [Counter(replica.model_id for replica in frontend.replicas) for frontend in presence]
    known: list[Replica] = []
    for model_id in sorted({model_id for count in counts for model_id in count}):
        poorest = min(range(len(presence)), key=lambda index: counts[index][model_id])
        known += [replica for replica in presence[poorest].replicas if replica.model_id == model_id]
    return known
