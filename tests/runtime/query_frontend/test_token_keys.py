"""Tokens of applications as keys of what is served: from when, until when, and through steps of the clock."""

from __future__ import annotations

from typing import Any

from clipper_nb.protocol.application_tokens import ApplicationToken, digest_of
from clipper_nb.runtime.query_frontend.token_keys import TokenKeys
from tests.support.fake_clock import FakeLoop

WALL_S = 1_700_000_000.0


class Bench:
    """Keys on a clock of their own; the clock on the wall may be set apart from it."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.began_s = self.loop.time()
        self.wall_offset_s = WALL_S
        self.applications: dict[str, Any] = {"app": "served", "other": "too"}
        self.keys: TokenKeys[Any] = TokenKeys(self.applications, self.loop, self.wall_s)

    def wall_s(self) -> float:
        return self.wall_offset_s + self.loop.time() - self.began_s

    def set(self, *tokens: ApplicationToken, applications: tuple[str, ...] = ()) -> None:
        self.keys.apply(applications, {token.token_id: token for token in tokens})

    def is_good(self, token: ApplicationToken) -> bool:
        return token.key in self.applications


def token(name: str = "site", lifetime_s: float | None = None, *, application: str = "app") -> ApplicationToken:
    expires_at = None if lifetime_s is None else WALL_S + lifetime_s
    return ApplicationToken(application, name, digest_of(f"secret of {name}"), WALL_S, expires_at)


def test_token_leads_to_its_application_until_revoked() -> None:
    bench = Bench()
    bench.set(token())
    assert bench.applications[token().key] == "served"
    assert not bench.is_good(token(application="other"))
    bench.keys.apply((), {token().token_id: None})
    assert bench.applications == {"app": "served", "other": "too"}


def test_token_of_the_same_name_replaces_the_one_before() -> None:
    bench = Bench()
    old, new = token(), ApplicationToken("app", "site", digest_of("another"), WALL_S + 1)
    bench.set(old)
    bench.set(new)
    assert (bench.is_good(old), bench.is_good(new)) == (False, True)


def test_keys_follow_an_application_that_is_replaced_or_gone() -> None:
    bench = Bench()
    bench.set(token())
    bench.applications["app"] = "replaced"
    bench.set(applications=("app",))
    assert bench.applications[token().key] == "replaced"
    del bench.applications["app"]
    bench.set(applications=("app",))
    assert not bench.is_good(token())


def test_token_expires_when_its_time_is_over() -> None:
    bench = Bench()
    bench.set(token("long"), token("an-hour", 3600.0), token("a-minute", 90.0))
    bench.loop.advance(89.9)
    assert bench.is_good(token("a-minute"))
    bench.loop.advance(0.2)
    assert not bench.is_good(token("a-minute"))
    bench.loop.advance(3600.0)
    assert (bench.is_good(token("an-hour")), bench.is_good(token("long"))) == (False, True)


def test_token_that_has_expired_already_is_never_good() -> None:
    bench = Bench()
    bench.set(token("past", -1.0))
    assert not bench.is_good(token("past"))


def test_setting_the_clock_back_makes_no_token_live_longer() -> None:
    bench = Bench()
    bench.set(token("an-hour", 3600.0))
    bench.wall_offset_s -= 86_400.0
    bench.loop.advance(3600.1)
    assert not bench.is_good(token("an-hour"))


def test_clock_set_forward_ends_a_token_within_a_minute_for_good() -> None:
    bench = Bench()
    bench.set(token("an-hour", 3600.0))
    bench.wall_offset_s += 86_400.0
    bench.loop.advance(60.1)
    assert not bench.is_good(token("an-hour"))
    bench.wall_offset_s -= 86_400.0
    bench.loop.advance(60.1)
    assert not bench.is_good(token("an-hour"))


def test_a_frontend_without_expiring_tokens_has_no_timer() -> None:
    bench = Bench()
    bench.set(token())
    assert bench.loop.num_timers == 0
    bench.set(token("short", 5.0))
    assert bench.loop.num_timers == 1
    bench.loop.advance(6.0)
    assert bench.loop.num_timers == 0
