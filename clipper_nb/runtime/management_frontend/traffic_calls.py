"""The admin calls for shadows and roll-outs, on top of the service and its store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from clipper_nb.errors import NotFoundError
from clipper_nb.protocol import rest
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.roll_out import RollOut, RollOutInfo
from clipper_nb.protocol.roll_out_plan import StartRollOut, check_plan
from clipper_nb.protocol.shadow import Shadow, ShadowReport, check_pinned, check_share, merge_reports
from clipper_nb.runtime.management_frontend import roll_out_rules, shadow_rules
from clipper_nb.runtime.management_frontend.rules import find_application
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.routing.roll_out_policy import describe
from clipper_nb.runtime.state.store import StateStore


@dataclass(frozen=True)
class TrafficCalls:
    """What handlers call; each change returns when all live query frontends act on it."""

    service: ManagementService
    store: StateStore
    wall_clock: Callable[[], float] = time.time

    async def set_shadow(self, request: rest.SetShadow, change_id: str | None = None) -> None:
        """Ask a version besides, or end an application's shadow."""
        name, shadow = request.app_name, None
        if request.model is not None:
            share = check_share(request.share)
            shadow = Shadow(*check_pinned("shadow()", request.model), share, self.wall_clock())
        await self.service.change(lambda before: shadow_rules.set_shadow(before, name, shadow), change_id)

    async def get_shadow_report(self, request: rest.TrafficOf) -> ShadowReport:
        """Return what an application's shadow answered, at all query frontends together."""
        configuration = await self.store.read_configuration()
        find_application(configuration, request.app_name)
        shadow = configuration.shadows.get(request.app_name)
        if shadow is None:
            raise NotFoundError(
                f"Application '{request.app_name}' has no shadow. Set one first: "
                f'shadow({request.app_name!r}, "model:version").'
            )
        nothing = ShadowReport(app_name=request.app_name, model=str(shadow.model_id), share=shadow.share)
        return merge_reports([nothing, *await self.store.ask_shadow(request.app_name)])

    async def start_roll_out(self, request: StartRollOut, change_id: str | None = None) -> None:
        """Begin to raise a version's share."""
        plan, at, roll_out_id = check_plan(request), self.wall_clock(), secrets.token_hex(8)
        replicas = await self.service.read_replicas()
        num_replicas = sum(replica.model_id == plan.model_id for replica in replicas)

        def change(before: Configuration) -> Configuration:
            return roll_out_rules.start_roll_out(
                before, plan, roll_out_id=roll_out_id, num_replicas=num_replicas, at=at
            )  # fmt: skip

        await self.service.change(change, change_id)

    async def abort_roll_out(self, request: rest.TrafficOf, change_id: str | None = None) -> None:
        """Restore the traffic of before."""

        def change(before: Configuration) -> Configuration:
            roll_out = roll_out_rules.find_under_way(before, request.app_name)
            return roll_out_rules.roll_back(before, roll_out, "aborted", "a user aborted it", at=self.wall_clock())

        await self.service.change(change, change_id)

    async def promote_roll_out(self, request: rest.TrafficOf, change_id: str | None = None) -> None:
        """Send all queries to the version at once."""

        def change(before: Configuration) -> Configuration:
            roll_out = roll_out_rules.find_under_way(before, request.app_name)
            return roll_out_rules.promote(before, roll_out, "a user promoted it", at=self.wall_clock())

        await self.service.change(change, change_id)

    async def get_roll_outs(self, request: rest.Listing) -> list[RollOutInfo]:
        """Return the last roll-out of each application, by its name."""
        roll_outs = (await self.store.read_configuration()).roll_outs
        return [await self._describe(roll_outs[name]) for name in sorted(roll_outs)]

    async def _describe(self, roll_out: RollOut) -> RollOutInfo:
        return describe(roll_out, await self.store.read_roll_out_progress(roll_out.roll_out_id))
