"""Requests with and without the cluster's token, by their heads alone."""

from __future__ import annotations

import pytest

from clipper_nb.protocol.application_tokens import digest_of
from clipper_nb.runtime.http.guard import AccessRules, Admitted, Answered, Guard, Rejected, Verdict
from clipper_nb.runtime.http.query_token import QueryToken, bearer_token, token_in_query

TOKEN = "a-token-of-tests-0123"
RULES = AccessRules(allow_origins=("https://app.example",), query_token=TOKEN)
BEARER = ("Authorization", f"Bearer {TOKEN}")
OTHER = "a-token-of-others-012"


def check(*headers: tuple[str, str], method: bytes = b"POST", target: bytes = b"/app/predict") -> Verdict:
    heads = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return Guard(RULES).check(method, target, heads)


def cookie_of(verdict: Verdict) -> str:
    line = verdict.headers.decode()
    assert line.startswith("Set-Cookie: ")
    assert line.endswith("; HttpOnly; SameSite=Strict\r\n")
    return line.removeprefix("Set-Cookie: ").partition(";")[0]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_bearer_token_is_enough_under_every_name(scheme: str) -> None:
    headers = (("Host", "hub.example"), ("Origin", "https://other.example"), ("Authorization", f"{scheme} {TOKEN}"))
    assert check(*headers) == Admitted()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Authorization", ""),),
        (("Authorization", "Bearer "),),
        (("Authorization", f"Bearer {OTHER}"),),
        (("Authorization", f"Bearer {TOKEN}x"),),
        (("Authorization", f"Basic {TOKEN}"),),
        (("Authorization", TOKEN),),
        (("Authorization", "Bearer \xff\xfe"),),
        (("X-Authorization", f"Bearer {TOKEN}"),),
        (("Cookie", f"clipper={TOKEN}"),),
        (("Cookie", 'clipper="unfinished'),),
        (("Host", "evil.example"),),
    ],
)
@pytest.mark.parametrize("target", [b"/metrics", b"/readyz", b"/nowhere", b"http://localhost/metrics"])
def test_without_the_token_every_page_is_401_alike(headers: tuple[tuple[str, str], ...], target: bytes) -> None:
    verdict = check(*headers, target=target)
    assert isinstance(verdict, Rejected)
    assert (verdict.status, verdict.headers) == (401, b"")
    assert "conn.query_token" in verdict.cause
    assert TOKEN not in verdict.cause


@pytest.mark.parametrize("headers", [(), (("Authorization", "Bearer "),), (("Host", "evil.example"),)])
def test_prediction_without_any_token_is_rejected_at_its_head(headers: tuple[tuple[str, str], ...]) -> None:
    assert isinstance(check(*headers), Rejected)


@pytest.mark.parametrize("given", [OTHER, f"{TOKEN}x", "\xff\xfe"])
def test_another_token_is_part_of_the_applications_key(given: str) -> None:
    """Whether the application has such a token is decided with everything else of the configuration."""
    verdict = check(("Authorization", f"Bearer {given}"))
    assert verdict == Admitted(credential=f"\0{digest_of(given)}")
    assert check(target=f"/app/predict?token={OTHER}".encode()) == Admitted(credential=f"\0{digest_of(OTHER)}")
    assert isinstance(check(("Authorization", f"Bearer {given}"), method=b"GET"), Rejected)


@pytest.mark.parametrize(
    ("method", "target", "is_admitted"),
    [
        (b"POST", b"/v2/models/app/infer", True),
        (b"POST", b"/v2/models/app/versions/1/infer", True),
        (b"POST", b"/app/update", True),
        (b"POST", b"/app/update/?a", True),
        (b"GET", b"/app/update", False),
        (b"POST", b"/app/more/update", False),
        (b"GET", b"/v2/models/app", True),
        (b"GET", b"/app", True),
        (b"HEAD", b"/app?a", True),
        (b"GET", b"/app/", False),
        (b"POST", b"/app", False),
        (b"GET", b"/", False),
        (b"GET", b"/metrics", False),
        (b"GET", b"/METRICS?a", False),
        (b"GET", b"/readyz", False),
        (b"GET", b"/openapi.json", False),
        (b"HEAD", b"/v2/models/app/versions/1/ready?a", True),
        (b"GET", b"/v2/models/app/infer", False),
        (b"GET", b"/v2/models/", False),
        (b"GET", b"/v2/models", False),
        (b"GET", b"/v2", False),
        (b"GET", b"/v2/health/ready", False),
        (b"POST", b"/v2/models/app/ready", False),
        (b"POST", b"/v2/repository/index", False),
        (b"GET", b"/v2/models/app/../../metrics", False),
    ],
)
def test_other_token_is_passed_on_to_one_model_alone(method: bytes, target: bytes, is_admitted: bool) -> None:
    verdict = check(("Authorization", f"Bearer {OTHER}"), method=method, target=target)
    if is_admitted:
        assert verdict == Admitted(credential=f"\0{digest_of(OTHER)}")
    else:
        assert isinstance(verdict, Rejected)


def test_liveness_of_v2_needs_no_token() -> None:
    assert check(method=b"GET", target=b"/v2/health/live") == Admitted()


def test_liveness_is_open_and_still_asks_for_the_host() -> None:
    assert check(("Host", "localhost"), method=b"GET", target=b"/livez?x") == Admitted()
    assert isinstance(check(("Host", "evil.example"), method=b"GET", target=b"/livez"), Rejected)


def test_token_in_the_target_gives_a_browser_a_cookie() -> None:
    first = check(method=b"GET", target=f"/metrics?a=b&token={TOKEN}".encode())
    cookie = cookie_of(first)
    assert TOKEN not in cookie
    read = ("Cookie", f"other=1; {cookie}; more=2")
    assert check(read, method=b"GET", target=b"/metrics") == Admitted()
    assert isinstance(check(read, ("Origin", "http://localhost:8888"), method=b"GET", target=b"/metrics"), Rejected)
    assert isinstance(check(read, method=b"POST"), Rejected)
    name = cookie.partition("=")[0]
    assert isinstance(check(("Cookie", f"{name}={TOKEN}"), method=b"GET", target=b"/metrics"), Rejected)


def test_token_in_the_target_of_a_prediction_sets_no_cookie() -> None:
    assert check(target=f"/app/predict?token={TOKEN}".encode()) == Admitted()
    assert isinstance(check(target=f"/app/predict?xtoken={TOKEN}".encode()), Rejected)


PAGE = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")


def test_browser_without_the_token_gets_a_form_for_it() -> None:
    verdict = check(PAGE, ("Host", "localhost"), method=b"GET", target=b"/metrics")
    assert isinstance(verdict, Answered)
    assert verdict.reply.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nContent-Security-Policy: default-src 'none'; form-action 'self';" in verdict.reply
    assert b'<input type="password" name="token"' in verdict.reply
    head, _, body = verdict.reply.partition(b"\r\n\r\n")
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_under_a_strangers_name_or_to_post_there_is_no_form(method: bytes) -> None:
    host = "evil.example" if method == b"GET" else "localhost"
    assert isinstance(check(PAGE, ("Host", host), method=method, target=b"/metrics"), Rejected)


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/metrics?token={}", "./metrics"),
        ("/readyz?app=a%26b&token={}&x=y", "./readyz?app=a%26b&x=y"),
        ("/?token={}", "./"),
        ("/a/b%0d%0ax?token={}", "./b%0d%0ax"),
        ("//evil.example?token={}", "./evil.example"),
    ],
)
def test_browser_with_the_token_goes_back_with_a_cookie(target: str, location: str) -> None:
    """The token does not stay in the address, nor goes anywhere else."""
    verdict = check(PAGE, ("Host", "hub.example"), method=b"GET", target=target.format(TOKEN).encode())
    assert isinstance(verdict, Answered)
    lines = verdict.reply.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 303 See Other"
    assert f"Location: {location}" in lines
    (cookie,) = [line.partition(": ")[2].partition(";")[0] for line in lines if line.startswith("Set-Cookie")]
    assert check(PAGE, ("Cookie", cookie), method=b"GET", target=b"/metrics") == Admitted()
    assert TOKEN not in verdict.reply.decode()


def test_escaped_token_in_the_target_is_read() -> None:
    assert token_in_query(b"a=b&token=a%2Bb%2Fc~d-0123456789") == "a+b/c~d-0123456789"
    assert [token_in_query(query) for query in (b"", b"token", b"token=", b"xtoken=y")] == [None] * 4


def test_clusters_have_cookies_of_their_own() -> None:
    assert cookie_of(Admitted(QueryToken(TOKEN).cookie_line)) != cookie_of(Admitted(QueryToken(OTHER).cookie_line))


def test_preflight_needs_no_token_and_its_page_may_read_the_401() -> None:
    page = (("Host", "localhost"), ("Origin", "https://app.example"))
    assert b"Allow-Headers: Authorization" in check(*page, method=b"OPTIONS").headers
    refused = check(*page)
    assert isinstance(refused, Rejected)
    assert refused.headers.startswith(b"Access-Control-Allow-Origin: https://app.example\r\n")
    assert check(*page, BEARER).headers == b"Access-Control-Allow-Origin: https://app.example\r\nVary: Origin\r\n"


def test_guard_may_leave_paths_open() -> None:
    guard = Guard(RULES, is_open=lambda path: path != b"/metrics")
    host = [(b"Host", b"localhost")]
    assert guard.check(b"POST", b"/admin/get_all_models", host) == Admitted()
    assert isinstance(guard.check(b"GET", b"/metrics", host), Rejected)


def test_no_repr_has_the_token() -> None:
    assert TOKEN not in f"{RULES!r}{Guard(RULES)!r}{QueryToken(TOKEN)!r}"


def test_other_schemes_have_no_bearer_token() -> None:
    assert [bearer_token(value) for value in (None, "", "Basic x", "Bearer  x ")] == [None, None, None, "x"]
