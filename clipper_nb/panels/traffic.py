"""The panel of traffic: how an application's queries are divided, what each version got, and sliders to change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import ipywidgets

from clipper_nb.display.html import Html
from clipper_nb.errors import ClipperException
from clipper_nb.panels import traffic_markup as markup
from clipper_nb.panels.cluster_state import ApplicationState, ClusterState
from clipper_nb.panels.markup import paragraph, row_actions, table
from clipper_nb.panels.panel import Panel, dropdown, offer, row
from clipper_nb.panels.shares_edit import SharesEdit
from clipper_nb.panels.sliders import Sliders
from clipper_nb.protocol import route
from clipper_nb.protocol.shares import weights_of
from clipper_nb.protocol.traffic import ApplicationTraffic, TrafficTarget

_MAX_STEPS_BACK = 20


class TrafficPanel(Panel):
    """Shows how an application's queries are divided; changes the shares, sends all to one target, and goes back."""

    title: ClassVar[str] = "Traffic"

    def render(self) -> Html:
        """Return a table of the chosen application's targets."""
        return self._render(with_actions=False)

    def _render_live(self) -> Html:
        return self._render(with_actions=True)

    def _render(self, *, with_actions: bool) -> Html:
        state = self._poller.state
        application = state.application(self._application.value)
        if application is None:
            return paragraph("No applications yet: call register_application(), or create_endpoint() of a deployer.")
        if not application.targets:
            return paragraph(
                f"{application.name} is linked to no model: it answers its default output. Add a version, and set it."
            )
        return Html(f"{self._targets(application, with_actions=with_actions)}{self._besides(application)}")

    def _targets(self, application: ApplicationState, *, with_actions: bool) -> Html:
        """Return the table of an application's targets."""
        state, scores = self._poller.state, self._scores
        rows = [
            markup.target_row(target, application, state, scores.get(target.target)) for target in application.targets
        ]
        head, numbers = list(markup.HEAD), list(markup.NUMBERS)
        if not any(target.score is not None for target in scores.values()):
            for cells in (head, *rows):
                del cells[markup.SCORE_COLUMN]
            numbers.pop()
        caption = f"Traffic of {application.name} in the last minute"
        if not with_actions:
            return Html(f"{paragraph(f'{caption}:')}{table(head, rows, caption=caption, numbers=numbers)}")
        if len(application.targets) > 1 and not self._is_rolling():
            head.append("Actions")
            for cells, target in zip(rows, application.targets, strict=True):
                cells.append(row_actions(target.target, {"promote": "All to it"}, is_enabled=not self._is_acting))
        keys = [target.target for target in application.targets]
        return table(head, rows, caption=caption, numbers=numbers, keys=keys)

    def _besides(self, application: ApplicationState) -> Html:
        """Return what there is besides the targets: a policy, a roll-out, a shadow."""
        roll_out = self._poller.state.roll_out(application.name)
        policy = markup.policy_sentence(application)
        rolling = "" if roll_out is None else markup.roll_out_picture(roll_out)
        shadow = "" if application.shadow is None else markup.shadow_picture(application.shadow)
        return Html(f"{policy}{rolling}{shadow}")

    def _act_on_row(self, action: str, key: str) -> None:
        if action == "promote":
            self._poller.call_soon(lambda: self._promote(key))

    def choose(self, application: str) -> None:
        """Show *application* as soon as it is seen."""
        self._asked_for.append(application)

    def paint(self) -> None:
        """Show the latest state of the chosen application; called in the poller's thread."""
        self._offer(self._poller.state)  # first: it chooses
        self._read_scores()
        super().paint()
        self._roll_out_row.layout.display = "flex" if self._is_rolling() else "none"

    # --- controls

    def _arrange(
        self, picture: ipywidgets.Widget, controls: Sequence[ipywidgets.Widget], outcome: ipywidgets.Widget
    ) -> Sequence[ipywidgets.Widget]:
        """Return the choice of the application above what is shown of it."""
        choice, *others = controls
        return [choice, picture, *others, self._question.widget, outcome]

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._edit = SharesEdit()
        self._asked_for: list[str] = []
        self._earlier: dict[str, list[ApplicationTraffic]] = {}
        self._scores: dict[str, TrafficTarget] = {}
        self._application = dropdown("Application", name="traffic-application", width="320px")
        self._application.observe(lambda _change: self._poller.call_soon(self._change_application), "value")
        self._sliders = Sliders(lambda target, share: self._poller.call_soon(lambda: self._move(target, share)))
        self._version = dropdown("Another version", name="add-target", width="320px")
        self._add_button = self._later_button("Add", self._add, "add", "Give it a slider, which begins at 0 %")
        self._set_button = self._later_button(
            "Set", self._set, "set-traffic", "Divide the queries by the sliders", style="primary"
        )
        self._reset_button = self._later_button(
            "Reset", self._reset, "reset-traffic", "Put the sliders back to what is set"
        )
        self._back_button = self._later_button(
            "Back", self._go_back, "back", "Set what was before the last change that this panel made"
        )
        self._roll_out_row = row(
            self._later_button(
                "Promote",
                lambda: self._end_roll_out("promote"),
                "promote",
                "End the roll-out: all queries to its version",
            ),
            self._later_button(
                "Abort", lambda: self._end_roll_out("abort"), "abort", "End the roll-out: the traffic of before"
            ),
        )
        return [
            row(self._application),
            self._roll_out_row,
            self._sliders,
            row(self._set_button, self._reset_button, self._back_button, self._version, self._add_button),
        ]

    def _later_button(
        self, label: str, act: Callable[[], None], name: str, tooltip: str, *, style: str = ""
    ) -> ipywidgets.Button:
        """Return a button that acts after the moves that the user made before the click."""
        return self._button(label, lambda: self._poller.call_soon(act), name=name, tooltip=tooltip, style=style)

    def _offer(self, state: ClusterState) -> None:
        divided = next((found.name for found in state.applications if len(found.targets) > 1), None)
        offer(self._application, [(found.name, found.name) for found in state.applications], divided)
        if self._asked_for and state.application(self._asked_for[-1]) is not None:
            self._application.value = self._asked_for[-1]
            self._asked_for.clear()
        application = state.application(self._application.value)
        targets = application.targets if application else ()
        if self._edit.follow(application.name if application else None, {each.target: each.share for each in targets}):
            self._tell("The traffic was changed elsewhere meanwhile: the sliders show it.", "warned")
        self._sliders.show(self._edit.shares, is_enabled=not (self._is_acting or self._is_rolling()))
        offer(self._version, _addable(state, application, self._edit.shares))

    def _is_rolling(self) -> bool:
        """Return whether a roll-out sets the shares now."""
        roll_out = self._poller.state.roll_out(self._edit.application)
        return roll_out is not None and roll_out.is_under_way

    def _read_scores(self) -> None:
        """Read what feedback says of the targets; without an answer it is not known."""
        name, self._scores = self._edit.application, {}
        if name is None or self._poller.state.problem:
            return
        with suppress(ClipperException):
            self._scores = {target.target: target for target in self._conn.get_traffic(name).targets}

    def _is_possible(self, button: ipywidgets.Button) -> bool:
        if button in self._roll_out_row.children or self._is_rolling():
            return button in self._roll_out_row.children and self._is_rolling()
        if button is self._add_button:
            return self._version.value is not None
        if button is self._back_button:
            return bool(self._earlier.get(self._edit.application or ""))
        return self._edit.is_changed or (button is self._reset_button and self._edit.shares != self._edit.actual)

    def _change_application(self) -> None:
        if self._application.value != self._edit.application:
            self._question.dismiss()
            self._outcome.value = self._outcome.value if self._is_acting else ""
            self.paint()

    # --- what the controls do, in the poller's thread

    def _move(self, target: str, share: float) -> None:
        if not (self._is_acting or self._is_rolling()) and target in self._edit.shares:
            self._question.dismiss()
            self._edit.move(target, share)
            self.paint()

    def _add(self) -> None:
        if self._version.value is not None and not self._is_acting:
            self._edit.move(self._version.value, 0.0)
            self.paint()

    def _reset(self) -> None:
        self._edit.reset()
        self.paint()

    def _set(self) -> None:
        self._ask_or_set(weights_of(self._edit.shares))

    def _promote(self, target: str) -> None:
        if target in self._edit.actual:
            self._ask_or_set({target: 100.0})

    def _ask_or_set(self, weights: Mapping[str, float]) -> None:
        """Set weights; ask first if a target would get no more queries, or a policy would end."""
        name, actual = self._edit.application, dict(self._edit.actual)
        if name is None or self._is_acting:
            return
        gone = [target for target, share in actual.items() if share > 0 and target not in weights]
        warnings = [f"{' and '.join(gone)} would get none."] if gone else []
        application = self._poller.state.application(name)
        if application is not None and application.policy is not None:
            warnings.append(f"That ends the policy {application.policy.name}.")
        if not warnings:
            self._act_on_traffic(name, weights)
            return
        self._ask(
            f"Send the queries of {name} to {_format(weights)}? {' '.join(warnings)}",
            lambda: self._act_on_traffic(name, weights),
            lambda: (self._edit.application, dict(self._edit.actual)),
        )

    def _end_roll_out(self, how: str) -> None:
        name = self._edit.application
        roll_out = self._poller.state.roll_out(name)
        if name is None or roll_out is None or not roll_out.is_under_way:
            return
        records = self._conn.records("the traffic panel")
        version = roll_out.model

        def promote() -> str:
            records.promote_roll_out(name)
            return f"The queries of {name} go to {version}."

        def abort() -> str:
            records.abort_roll_out(name)
            return f"The roll-out of {version} is aborted, and the traffic of before is back."

        if how == "abort":
            self._act(f"Aborting the roll-out of {version}", abort)
            return
        self._ask(
            f"Send all queries of {name} to {version} now? Nothing watches it then.",
            lambda: self._act(f"Promoting {version}", promote),
            lambda: (self._edit.application, self._is_rolling()),
        )

    def _act_on_traffic(self, name: str, weights: Mapping[str, float]) -> None:
        if weights != weights_of(self._edit.shares):
            self._edit.reset()

        def change() -> str:
            before = self._conn.get_traffic(name)
            self._conn.set_traffic(name, weights)
            if before.targets:
                earlier = self._earlier.setdefault(name, [])
                earlier.append(before)
                del earlier[:-_MAX_STEPS_BACK]
            return f"The queries of {name} go to {_format(weights)}."

        self._act(f"Setting the traffic of {name}", change)

    def _go_back(self) -> None:
        name = self._edit.application
        earlier = self._earlier.get(name or "")
        if name is None or not earlier:
            return
        self._edit.reset()

        def change() -> str:
            before = earlier[-1]
            weights = {target.target: target.weight for target in before.targets}
            policy = {} if before.policy is None else {"policy": before.policy.name, **before.policy.options}
            self._conn.set_traffic(name, weights, **policy)
            earlier.pop()
            return f"The queries of {name} go to {_format(weights)} again."

        self._act(f"Setting the traffic of {name} back", change)


def _addable(
    state: ClusterState, application: ApplicationState | None, shares: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Return the versions that may get a share besides: those of its input type that do not answer yet."""
    if application is None:
        return []
    answering = {*shares, *(target.model_id for target in application.targets)}
    return [
        (f"{found.model_id} (current)" if found.is_current else found.model_id, found.model_id)
        for found in state.versions
        if found.input_type is application.input_type and found.model_id not in answering
    ]


def _format(weights: Mapping[str, float]) -> str:
    total = sum(weights.values())
    return ", ".join(f"{target} {route.format_share(weight / total)}" for target, weight in weights.items())
