"""A new version that is claimed; one without a number of its own gets the next that no other caller has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.errors import ExistsError

_MAX_TRIES = 50
"""Each lost try means that another caller deploys that number."""


@contextlib.contextmanager
def claimed_version(
    management: ManagementClient, new: NewVersion, *, has_foreign_image: bool = False
) -> Iterator[tuple[NewVersion, VersionClaim]]:
    """Yield the version and its claim, which is held meanwhile; the number may have changed.

    Raises
    ------
    VersionClaimedError, VersionExistsError
        The caller named the version, and another caller has it; or so many callers deploy the model that no number
        stays free for long enough.
    """
    with contextlib.ExitStack() as claims:
        for tries_left in reversed(range(_MAX_TRIES)):
            claim = VersionClaim(management, new.model_id, is_new=True, has_foreign_image=has_foreign_image)
            try:
                claims.enter_context(claim)
                break
            except ExistsError:
                if not new.takes_next_number or not tries_left:
                    raise
            new = new.numbered(management.get_deploy_state(new.model_id).next_version)
        yield new, claim
